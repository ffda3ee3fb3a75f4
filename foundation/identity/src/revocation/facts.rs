//! What a revocation list says of itself (RFC 5280 §5.1), read without its entries: so that a list nobody signed costs
//! next to nothing, however long it is. Pure, and made for hostile bytes; entries are `webpki`'s.

use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::asn1_rs::{Any, FromDer, Tag};
use x509_parser::extensions::X509Extension;
use x509_parser::oid_registry::{OID_X509_EXT_CRL_NUMBER, OID_X509_EXT_ISSUER_DISTRIBUTION_POINT};
use x509_parser::time::ASN1Time;

/// A CRL number: up to twenty octets, compared as numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number(Vec<u8>);

impl Number {
    /// From the content of a DER integer.
    fn new(content: &[u8]) -> Option<Self> {
        let negative = content.first().is_none_or(|first| *first >= 0x80);
        let digits: Vec<u8> = content.iter().copied().skip_while(|byte| *byte == 0).collect();
        (!negative && digits.len() <= 20).then_some(Self(digits))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0))
    }
}

impl std::fmt::Display for Number {
    /// Hexadecimal, as `openssl crl -crlnumber` prints it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("0x00");
        }
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

/// Which certificates of its issuer a list may be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covers {
    /// Those of everybody who is no authority.
    pub leaves: bool,
    /// Those of authorities.
    pub authorities: bool,
}

/// The facts, borrowed from the list.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The issuer's name, as DER.
    pub issuer: &'a [u8],
    /// From when on the list holds, in seconds since 1970.
    pub this_update: i64,
    /// Until when a newer one comes.
    pub next_update: i64,
    /// Its number.
    pub number: Option<Number>,
    /// The extension that narrows it to some certificates, as DER; empty if it is about all.
    pub scope: &'a [u8],
    /// What the scope leaves.
    pub covers: Covers,
    /// What is signed.
    pub signed: &'a [u8],
    /// With which algorithm: the content of its identifier.
    pub algorithm: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

impl<'a> Facts<'a> {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong.
    pub fn read(der: &'a [u8]) -> Result<Self, &'static str> {
        let mut file = Reader(der);
        let mut list = Reader(file.expect(Tag::Sequence, "it is no revocation list")?.data);
        file.end()?;
        let body = list.expect(Tag::Sequence, "it has no body")?;
        let algorithm = list.expect(Tag::Sequence, "it names no algorithm")?.data;
        let bits = list.expect(Tag::BitString, "it has no signature")?.data;
        list.end()?;
        let Some((0, signature)) = bits.split_first() else { return Err("its signature has loose bits") };

        let mut inside = Reader(body.data);
        inside.expect(Tag::Integer, "it is of version 1")?;
        inside.expect(Tag::Sequence, "its body names no algorithm")?;
        let issuer = inside.expect(Tag::Sequence, "it names no issuer")?.whole;
        let this_update = inside.moment().ok_or("it has no thisUpdate")?;
        let next_update = inside.moment().ok_or("it has no nextUpdate")?;
        let mut rest = inside.any()?;
        if rest.tag == Tag::Sequence {
            rest = inside.any()?;
        }
        inside.end()?;
        if rest.tag != Tag(0) {
            return Err("it has no extensions");
        }
        let (number, scope) = extensions(rest.data)?;
        let covers = covers(scope)?;
        Ok(Self { issuer, this_update, next_update, number, scope, covers, signed: body.whole, algorithm, signature })
    }
}

/// The DER of a list that came as DER or as PEM.
///
/// # Errors
/// What is wrong.
pub(super) fn unwrap_pem(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    if bytes.first() == Some(&0x30) {
        return Ok(bytes.to_vec());
    }
    let mut lists = CertificateRevocationListDer::pem_slice_iter(bytes);
    let first = lists.next().and_then(Result::ok).ok_or("it is neither DER nor PEM")?;
    if lists.next().is_some() {
        return Err("there are two lists; give each a file of its own");
    }
    Ok(first.to_vec())
}

fn extensions(content: &[u8]) -> Result<(Option<Number>, &[u8]), &'static str> {
    let mut outer = Reader(content);
    let mut all = Reader(outer.expect(Tag::Sequence, "its extensions are no list")?.data);
    outer.end()?;
    let (mut number, mut scope) = (None, &[][..]);
    while !all.0.is_empty() {
        let (rest, extension) = X509Extension::from_der(all.0).map_err(|_| "one of its extensions is malformed")?;
        all.0 = rest;
        if extension.oid == OID_X509_EXT_CRL_NUMBER {
            let mut value = Reader(extension.value);
            let read =
                Number::new(value.expect(Tag::Integer, "its number is none")?.data).ok_or("its number is none")?;
            value.end()?;
            if number.replace(read).is_some() {
                return Err("it has two numbers");
            }
        } else if extension.oid == OID_X509_EXT_ISSUER_DISTRIBUTION_POINT {
            scope = extension.value;
        }
    }
    Ok((number, scope))
}

/// What an issuing distribution point (RFC 5280 §5.2.5) leaves.
fn covers(scope: &[u8]) -> Result<Covers, &'static str> {
    let mut covers = Covers { leaves: true, authorities: true };
    if scope.is_empty() {
        return Ok(covers);
    }
    let mut members = Reader(Reader(scope).expect(Tag::Sequence, "its scope is malformed")?.data);
    while !members.0.is_empty() {
        let member = members.any()?;
        let on = member.data.first().is_some_and(|byte| *byte != 0);
        match member.tag {
            // onlyContainsUserCerts, onlyContainsCACerts, onlyContainsAttributeCerts
            Tag(1) if on => covers.authorities = false,
            Tag(2) if on => covers.leaves = false,
            Tag(5) if on => covers = Covers { leaves: false, authorities: false },
            _ => {}
        }
    }
    Ok(covers)
}

/// One element.
struct Element<'a> {
    tag: Tag,
    /// Its content.
    data: &'a [u8],
    /// With its head.
    whole: &'a [u8],
}

/// Bytes that are still to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn any(&mut self) -> Result<Element<'a>, &'static str> {
        let (rest, any) = Any::from_der(self.0).map_err(|_| "it is cut off or not DER")?;
        let whole = self.0.get(..self.0.len() - rest.len()).unwrap_or_default();
        self.0 = rest;
        let content = whole.len() - any.data.len();
        Ok(Element { tag: any.header.tag(), data: whole.get(content..).unwrap_or_default(), whole })
    }

    fn expect(&mut self, tag: Tag, otherwise: &'static str) -> Result<Element<'a>, &'static str> {
        let element = self.any()?;
        if element.tag == tag { Ok(element) } else { Err(otherwise) }
    }

    fn moment(&mut self) -> Option<i64> {
        let (rest, time) = ASN1Time::from_der(self.0).ok()?;
        self.0 = rest;
        Some(time.timestamp())
    }

    fn end(&self) -> Result<(), &'static str> {
        if self.0.is_empty() { Ok(()) } else { Err("something stands behind its end") }
    }
}
