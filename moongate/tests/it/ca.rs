//! `moongate ca`: the home's own authority from the command line, with OpenSSL as the judge.

use std::path::Path;
use std::process::Output;

use moongate_testkit::pki::{Identity, client_config, connect};
use serde_json::{Value, json};

use crate::support::*;

/// A folder with a configuration for `home.example`, whose authority lies in `ca`.
fn home() -> Folder {
    let folder = folder();
    std::fs::write(folder.path().join("moongate.toml"), "domain = \"home.example\"\n").unwrap();
    folder
}

async fn ca(folder: &Folder, arguments: &[&str]) -> Output {
    moongate(folder.path(), &[&["ca"], arguments].concat()).await
}

/// What a command printed, which worked.
async fn worked(folder: &Folder, arguments: &[&str]) -> Value {
    let output = ca(folder, &[&["--json"], arguments].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(err(&output), "");
    serde_json::from_str(&out(&output)).unwrap()
}

async fn openssl(folder: &Path, words: &[&str]) -> Result<String, String> {
    let output = tokio::process::Command::new("openssl").current_dir(folder).args(words).output().await;
    let output = output.expect("the Debian package `openssl` is needed");
    let text = format!("{}{}", out(&output), err(&output));
    if output.status.success() { Ok(text) } else { Err(text) }
}

const LAMP: [&str; 5] = ["issue", "lamp", "--client", "--spiffe", "spiffe://home.example/lamp"];

#[tokio::test]
async fn a_home_issues_revokes_and_publishes() {
    let home = home();
    worked(&home, &["init"]).await;
    let lamp = worked(&home, &LAMP).await;
    assert_eq!(lamp["state"], "valid");
    worked(&home, &["issue", "gw", "--dns", "gw.home.example", "--ip", "::1", "--out", "gw", "--days", "397"]).await;
    let at = home.path().join("ca");
    let verify = ["verify", "-x509_strict", "-crl_check", "-CRLfile", "crl.pem", "-CAfile", "ca.pem"];
    let list = worked(&home, &["crl", "--days", "3"]).await;
    assert_eq!((&list["number"], &list["entries"]), (&1.into(), &0.into()));
    for certificate in ["lamp.pem", "../gw/gw.pem"] {
        openssl(&at, &[&verify[..], &[certificate]].concat()).await.unwrap();
    }

    let taken = worked(&home, &["revoke", "lamp", "--reason", "key-compromise"]).await;
    assert_eq!(taken["revoked"][0]["serial"], lamp["serial"]);
    let list = worked(&home, &["crl"]).await;
    assert_eq!((&list["number"], &list["entries"]), (&2.into(), &1.into()));
    let refused = openssl(&at, &[&verify[..], &["lamp.pem"]].concat()).await.unwrap_err();
    assert!(refused.contains("certificate revoked"), "{refused}");
    openssl(&at, &[&verify[..], &["../gw/gw.pem"]].concat()).await.unwrap();
    worked(&home, &["crl", "--der", "--out", "list.crl"]).await;
    let words = ["crl", "-inform", "DER", "-in", "list.crl", "-CAfile", "ca/ca.pem", "-verify", "-noout", "-crlnumber"];
    let told = openssl(home.path(), &words).await.unwrap();
    assert!(told.contains("verify OK") && told.contains("crlNumber=0x03"), "{told}");

    let all = worked(&home, &["list"]).await;
    let states: Vec<&str> =
        all["certificates"].as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["revoked", "valid"]);
    let shown = worked(&home, &["show", "--serial", lamp["serial"].as_str().unwrap()]).await;
    assert_eq!(shown[0]["revoked"]["reason"], "key-compromise");
    assert_eq!(worked(&home, &["show"]).await["list_number"], 3);
}

#[tokio::test]
async fn what_is_refused_ends_with_2_and_what_changes_nothing_with_1() {
    let home = home();
    let output = ca(&home, &LAMP).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("MG-0114") && err(&output).contains("moongate ca init"), "{}", err(&output));
    worked(&home, &["init"]).await;
    worked(&home, &LAMP).await;
    let foreign = ["issue", "spy", "--client", "--spiffe", "spiffe://car.example/spy"];
    for (arguments, code) in [
        (&["init"][..], "MG-0112"),
        (&LAMP[..], "MG-0112"),
        (&foreign[..], "MG-0415"),
        (&["issue", "gw", "--dns", "gw", "--days", "398"][..], "MG-0415"),
        (&["issue", "nobody"][..], "MG-0415"),
        (&["issue", "../x", "--dns", "gw"][..], "MG-0415"),
        (&["revoke", "spy"][..], "MG-0414"),
        (&["show", "spy"][..], "MG-0414"),
    ] {
        let output = ca(&home, arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(err(&output).contains(code), "{arguments:?}: {}", err(&output));
        assert_eq!(out(&output), "");
    }
    assert!(!home.path().join("ca/spy.key").exists());
    let serial = worked(&home, &["show", "lamp"]).await[0]["serial"].as_str().unwrap().to_owned();
    assert_eq!(ca(&home, &["revoke", "--serial", &serial]).await.status.code(), Some(0));
    assert_eq!(ca(&home, &["revoke", "--serial", &serial]).await.status.code(), Some(1));
}

#[tokio::test]
async fn keys_are_written_and_never_printed() {
    let home = home();
    let mut printed = String::new();
    for arguments in [&["init"][..], &LAMP, &["list"], &["show", "lamp"], &["show"], &["crl"], &["revoke", "lamp"]] {
        for json in [&[][..], &["--json"]] {
            let output = ca(&home, &[arguments, json].concat()).await;
            printed += &format!("{}{}", out(&output), err(&output));
        }
    }
    for key in ["ca/ca.key", "ca/lamp.key"] {
        let path = home.path().join(key);
        let text = std::fs::read_to_string(&path).unwrap();
        let secret = text.lines().nth(1).unwrap();
        assert!(!printed.contains(secret) && !printed.contains("PRIVATE"), "{printed}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}

#[tokio::test]
async fn a_gateway_starts_with_the_authority_that_was_made_before() {
    let home = home();
    let made = worked(&home, &["init", "--dir", "authority"]).await;
    let certificate = std::fs::read(home.path().join(made["certificate"].as_str().unwrap())).unwrap();
    let listen = "[listen]\nmain = \"{main}\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n";
    let folder = home.path().join("authority");
    let tls = format!("[tls]\nca_dir = {:?}\n", folder.to_str().unwrap());
    let gateway = Gateway::start(MOONGATE, &format!("{listen}{tls}")).await;
    assert_eq!(std::fs::read(folder.join("ca.pem")).unwrap(), certificate);
    drop(gateway);
}

/// One message of a device to the gateway's main listener, over a connection that stays.
async fn dial(home: &Folder, gateway: &Gateway, name: &str) -> Result<Connection, String> {
    let file = |kind: &str| home.path().join(format!("ca/{name}.{kind}"));
    let identity = Identity::read(&file("pem"), &file("key"));
    let root = moongate_identity::tls::read_roots(&home.path().join("ca/ca.pem")).unwrap().remove(0);
    let config = client_config(&root, Some(&identity));
    let stream = connect(gateway.address("main").unwrap(), config).await.map_err(|error| error.to_string())?;
    Connection::over(stream, "localhost".to_owned()).await
}

async fn speaks(connection: &mut Connection) -> bool {
    let call = rpc("SendMessage", &message("hello"));
    connection.send("POST", "/agents/a", &[V1], Some(&call)).await.is_ok_and(|answer| answer.status == 200)
}

#[tokio::test]
async fn a_device_that_was_revoked_is_cut_off_and_others_are_not() {
    let home = home();
    worked(&home, &["init"]).await;
    worked(&home, &LAMP).await;
    worked(&home, &["issue", "lock", "--client", "--spiffe", "spiffe://home.example/lock"]).await;
    worked(&home, &["crl"]).await;
    let agent = Agent::start("a", &[json!("a.do")]).await;
    let at = |name: &str| home.path().join("ca").join(name).to_str().unwrap().to_owned();
    let toml = format!(
        "domain = \"home.example\"\n[listen]\nmain = \"{{main}}\"\nplain = \"off\"\nadmin = \"127.0.0.1:0\"\n\
         [tls]\nca_dir = {:?}\n[[peers]]\ndomain = \"home.example\"\nbundle = {:?}\ncrl = [{:?}]\nscopes = [\"a2a:*:*\"]\n{}",
        at(""),
        at("ca.pem"),
        at("crl.pem"),
        agent.entry()
    );
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let mut lamp = dial(&home, &gateway, "lamp").await.unwrap();
    let mut lock = dial(&home, &gateway, "lock").await.unwrap();
    assert!(speaks(&mut lamp).await && speaks(&mut lock).await);
    worked(&home, &["revoke", "lamp", "--reason", "key-compromise"]).await;
    assert!(speaks(&mut lamp).await, "nobody has told the gateway yet");
    worked(&home, &["crl"]).await;
    let cut = async { while speaks(&mut lamp).await {} };
    tokio::time::timeout(std::time::Duration::from_secs(5), cut).await.expect("the connection is closed");
    let again = dial(&home, &gateway, "lamp").await;
    assert!(match again {
        Ok(mut connection) => !speaks(&mut connection).await,
        Err(_) => true,
    });
    assert!(speaks(&mut lock).await, "the other connection goes on");
    // The next certificate of the same device is another one.
    worked(&home, &[&LAMP[..], &["--replace"]].concat()).await;
    assert!(speaks(&mut dial(&home, &gateway, "lamp").await.unwrap()).await);
}
