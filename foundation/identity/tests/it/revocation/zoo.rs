//! Authorities, certificates and lists as OpenSSL makes them.

use std::path::PathBuf;
use std::process::Command;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::support::Folder;

/// Authorities in a folder of their own; names of authorities are names of files.
pub(crate) struct Zoo {
    folder: Folder,
}

/// What a list is to be.
#[derive(Clone, Copy)]
pub(crate) struct Made<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    /// The section of its extensions.
    pub(crate) extensions: &'a str,
}

/// From 1 August to 1 October 2026.
pub(crate) const FRESH: Made<'_> = Made { from: "20260801000000Z", to: "20261001000000Z", extensions: "list" };

impl Zoo {
    /// A root, and an authority below it.
    pub(crate) fn new() -> Self {
        let zoo = Self { folder: Folder::new() };
        zoo.authority("root", "root", "authority");
        zoo.authority("below", "root", "authority");
        zoo
    }

    /// An authority that `issuer` vouches for.
    pub(crate) fn authority(&self, name: &str, issuer: &str, extensions: &str) {
        std::fs::write(self.path(&format!("{name}.index")), "").unwrap();
        std::fs::write(self.path(&format!("{name}.number")), "1000\n").unwrap();
        std::fs::write(self.path(&format!("{name}.cnf")), self.settings(name, "spiffe://none.example/none")).unwrap();
        self.request(name);
        if name == issuer {
            self.sign(name, issuer, extensions, &["-selfsign"]);
        } else {
            self.sign(name, issuer, extensions, &[]);
        }
    }

    /// A certificate for both directions, for `localhost` and one SPIFFE id.
    pub(crate) fn issue(&self, name: &str, issuer: &str) {
        let settings = self.settings(issuer, &format!("spiffe://home.example/{name}"));
        std::fs::write(self.path(&format!("{issuer}.cnf")), settings).unwrap();
        self.request(name);
        self.sign(name, issuer, "leaf", &[]);
    }

    pub(crate) fn revoke(&self, name: &str, issuer: &str) {
        self.ca(issuer, &["-revoke", &format!("{name}.pem")]);
    }

    /// A list as it is now, in PEM.
    pub(crate) fn list(&self, issuer: &str, made: Made<'_>) -> Vec<u8> {
        let out = ["-gencrl", "-out", "out.crl", "-crlexts", made.extensions];
        self.ca(issuer, &[&out[..], &["-crl_lastupdate", made.from, "-crl_nextupdate", made.to]].concat());
        std::fs::read(self.path("out.crl")).unwrap()
    }

    /// The number that the next list has.
    pub(crate) fn number(&self, issuer: &str, next: &str) {
        std::fs::write(self.path(&format!("{issuer}.number")), format!("{next}\n")).unwrap();
    }

    pub(crate) fn certificate(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn request(&self, name: &str) {
        let subject = format!("/CN={name}");
        let key = format!("{name}.key");
        let file = format!("{name}.csr");
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let words = ["req", "-new", "-config", "root.cnf", "-subj", &subject, "-keyout", &key, "-out", &file];
        self.run(&[&words[..], &curve].concat());
    }

    fn sign(&self, name: &str, issuer: &str, extensions: &str, more: &[&str]) {
        let (request, file) = (format!("{name}.csr"), format!("{name}.pem"));
        let dates = ["-startdate", "20260101000000Z", "-enddate", "20360101000000Z"];
        let words = ["-batch", "-notext", "-in", &request, "-out", &file, "-extensions", extensions];
        self.ca(issuer, &[&words[..], &dates, more].concat());
    }

    fn ca(&self, issuer: &str, words: &[&str]) {
        self.run(&[&["ca", "-config", &format!("{issuer}.cnf"), "-name", "ca"], words].concat());
    }

    fn run(&self, words: &[&str]) {
        let output = Command::new("openssl").current_dir(self.folder.path()).args(words).output();
        let output = output.expect("the Debian package `openssl` is needed");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn settings(&self, name: &str, spiffe: &str) -> String {
        format!(
            "[req]\ndistinguished_name = dn\n[dn]\n[ca]\ndatabase = {name}.index\nnew_certs_dir = .\ncrlnumber = {name}.number\n\
             rand_serial = yes\ncertificate = {name}.pem\nprivate_key = {name}.key\ndefault_md = sha256\n\
             default_days = 30\ndefault_crl_days = 30\npolicy = any\nunique_subject = no\n\
             [any]\ncommonName = supplied\n\
             [authority]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign,cRLSign\n\
             subjectKeyIdentifier = hash\n\
             [mute]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign\n\
             subjectKeyIdentifier = hash\n\
             [leaf]\nbasicConstraints = critical,CA:FALSE\nkeyUsage = critical,digitalSignature\n\
             extendedKeyUsage = clientAuth,serverAuth\nsubjectAltName = URI:{spiffe},DNS:localhost\n\
             [list]\nauthorityKeyIdentifier = keyid\n\
             [delta]\nauthorityKeyIdentifier = keyid\n2.5.29.27 = critical,ASN1:INTEGER:1\n\
             [indirect]\nauthorityKeyIdentifier = keyid\nissuingDistributionPoint = critical,@elsewhere\n\
             [elsewhere]\nfullname = URI:http://lists.example/all.crl\nindirectCRL = TRUE\n\
             [users]\nauthorityKeyIdentifier = keyid\nissuingDistributionPoint = critical,@people\n\
             [people]\nfullname = URI:http://lists.example/users.crl\nonlyuser = TRUE\n\
             [part]\nauthorityKeyIdentifier = keyid\nissuingDistributionPoint = critical,@place\n\
             [place]\nfullname = URI:http://lists.example/part.crl\n"
        )
    }
}
