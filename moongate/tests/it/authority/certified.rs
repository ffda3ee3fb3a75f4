//! Clients that prove who they are by the certificate of their connection, and what they get (RFC 8705).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use moongate_core::{Certificate, Problem};
use moongate_identity::authority::clients::{ClientProof, NewClient};
use serde_json::{Value, json};

use super::{CALLER, NOW, Scene, scene, terms, text};

const CAR: &str = "spiffe://car.example/nav";
const DEVICE: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code";
const ITSELF: &str = "grant_type=client_credentials&client_id=nav";

/// A certificate of this holder; each `number` is another one.
fn certificate(id: &str, number: u8) -> Arc<Certificate> {
    Arc::new(Certificate { id: id.into(), domain: "car.example".into(), thumbprint: [number; 32], expires_at: None })
}

async fn known_by(scene: &Scene, identity: &str, grants: &[&str]) -> Result<Value, Problem> {
    let new = NewClient {
        id: "nav".to_owned(),
        name: None,
        proof: ClientProof::Certificate(identity.to_owned()),
        grants: grants.iter().map(|grant| (*grant).to_owned()).collect(),
        scopes: vec!["a2a:*:*".to_owned()],
        redirect_uris: Vec::new(),
    };
    let (view, secret) = scene.authority.add_client(new).await?;
    assert_eq!(secret, None, "there is nothing to keep");
    Ok(view)
}

async fn post(scene: &Scene, shown: Option<&Arc<Certificate>>, path: &str, form: &str) -> (u16, Value) {
    let request = http::Request::post(path).body(Bytes::from(form.to_owned())).unwrap();
    let answer = scene.authority.handle(CALLER, shown.cloned(), request).await;
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or_default())
}

fn refusal(answer: &(u16, Value)) -> (u16, String) {
    (answer.0, text(&answer.1, "error"))
}

#[tokio::test]
async fn a_certificate_is_a_proof_for_the_client_that_was_registered_with_its_name() {
    let scene = scene("memory:").await;
    let view = known_by(&scene, CAR, &["client_credentials"]).await.unwrap();
    assert_eq!((&view["proof"], &view["certificate"]), (&json!("tls_client_auth"), &json!(CAR)));
    let own = certificate(CAR, 1);
    let (status, token) = post(&scene, Some(&own), "/oauth/token", &format!("{ITSELF}&scope=a2a:lights:send")).await;
    assert_eq!(status, 200, "{token}");
    assert_eq!(text(&token, "scope"), "a2a:lights:send");

    let no = (400, "invalid_client".to_owned());
    for (what, shown) in [
        ("none", None),
        ("another's", Some(certificate("spiffe://car.example/radio", 2))),
        ("one whose name begins alike", Some(certificate("spiffe://car.example/nav/2", 3))),
        ("another domain's", Some(certificate("spiffe://boat.example/nav", 4))),
    ] {
        assert_eq!(refusal(&post(&scene, shown.as_ref(), "/oauth/token", ITSELF).await), no, "{what}");
    }
    let over = Arc::new(Certificate { expires_at: Some(NOW), ..(*own).clone() });
    assert_eq!(refusal(&post(&scene, Some(&over), "/oauth/token", ITSELF).await), no, "it has run out");
    // With another proof beside it the request is not one of these; that proof does not hold.
    let form = format!("{ITSELF}&client_secret=guess");
    assert_eq!(refusal(&post(&scene, Some(&own), "/oauth/token", &form).await), no);
    scene.authority.disable_client("nav", true).await.unwrap();
    assert_eq!(refusal(&post(&scene, Some(&own), "/oauth/token", ITSELF).await), no, "it is disabled");
}

#[tokio::test]
async fn a_certificate_is_no_proof_for_clients_that_have_another_one() {
    let scene = scene("memory:").await;
    scene.client("robot", ClientProof::Secret, "client_credentials", &["a2a:*:*"]).await;
    let own = certificate(CAR, 1);
    let answer = post(&scene, Some(&own), "/oauth/token", "grant_type=client_credentials&client_id=robot").await;
    assert_eq!(refusal(&answer), (400, "invalid_client".to_owned()));
    for identity in ["", "nav", "https://car.example/nav", "spiffe://CAR.example/nav", "device/"] {
        let problem = known_by(&scene, identity, &["client_credentials"]).await.unwrap_err();
        assert_eq!(problem.fields[0].field, "certificate", "{identity}");
    }
}

#[tokio::test]
async fn what_it_gets_counts_only_on_connections_that_show_the_certificate() {
    let scene = scene("memory:").await;
    known_by(&scene, "device/nav", &["client_credentials"]).await.unwrap();
    let (own, other) = (certificate("device/nav", 1), certificate("device/nav", 2));
    let (_, token) = post(&scene, Some(&own), "/oauth/token", ITSELF).await;
    let token = text(&token, "access_token");
    // Both ways: verified, and remembered.
    for _ in 0..2 {
        let holder = match scene.tokens.known(&token) {
            Some(holder) => holder,
            None => scene.tokens.verify(&token).await.unwrap(),
        };
        assert_eq!(&*holder.clone().on(Some(&own)).unwrap().id, "home.example/nav");
        for shown in [None, Some(&*other)] {
            assert!(holder.clone().on(shown).unwrap_err().detail.contains("certificate"), "{shown:?}");
        }
    }
    let form = format!("client_id=nav&token={token}");
    let (_, about) = post(&scene, Some(&own), "/oauth/introspect", &form).await;
    assert_eq!(about["cnf"], json!({"x5t#S256": URL_SAFE_NO_PAD.encode([1; 32])}), "{about}");
    assert_eq!(post(&scene, Some(&own), "/oauth/revoke", &form).await.0, 200);
    assert!(scene.tokens.verify(&token).await.is_err(), "it was revoked");
}

#[tokio::test]
async fn a_renewed_certificate_goes_on_with_what_a_person_allowed() {
    let scene = scene("memory:").await;
    known_by(&scene, CAR, &["device_code"]).await.unwrap();
    let (old, new) = (certificate(CAR, 1), certificate(CAR, 2));
    let stranger = certificate("spiffe://car.example/radio", 3);
    let (status, begun) =
        post(&scene, Some(&old), "/oauth/device_authorization", "client_id=nav&scope=a2a:*:send").await;
    assert_eq!(status, 200, "{begun}");
    scene.authority.device_answer(&text(&begun, "user_code"), "alice", true).await.unwrap();
    scene.wait(Duration::from_secs(5));
    let form = format!("grant_type={DEVICE}&client_id=nav&device_code={}", text(&begun, "device_code"));
    let (status, first) = post(&scene, Some(&old), "/oauth/token", &form).await;
    assert_eq!(status, 200, "{first}");

    let form = format!("grant_type=refresh_token&client_id=nav&refresh_token={}", text(&first, "refresh_token"));
    for shown in [None, Some(&stranger)] {
        assert_eq!(refusal(&post(&scene, shown, "/oauth/token", &form).await), (400, "invalid_client".to_owned()));
    }
    let (status, second) = post(&scene, Some(&new), "/oauth/token", &form).await;
    assert_eq!(status, 200, "{second}");
    let holder = scene.tokens.verify(&text(&second, "access_token")).await.unwrap();
    assert_eq!(&*holder.clone().on(Some(&new)).unwrap().id, "home.example:alice");
    assert!(holder.on(Some(&old)).is_err(), "it is bound to the certificate that asked for it");
    // Reuse is still theft.
    assert_eq!(refusal(&post(&scene, Some(&new), "/oauth/token", &form).await), (400, "invalid_grant".to_owned()));
    assert!(scene.tokens.verify(&text(&second, "access_token")).await.is_err());
}

#[tokio::test]
async fn the_metadata_names_it_where_certificates_are_asked_for() {
    let scene = scene("memory:").await;
    let methods = async || {
        let (_, server) = scene.get("/.well-known/oauth-authorization-server").await;
        (
            server["token_endpoint_auth_methods_supported"].clone(),
            server["tls_client_certificate_bound_access_tokens"].clone(),
        )
    };
    let (before, bound) = methods().await;
    assert!(!before.to_string().contains("tls_client_auth") && bound != json!(true), "{before} {bound}");
    scene.authority.change(moongate_identity::authority::Terms { certificates: true, ..terms() }).unwrap();
    let (after, bound) = methods().await;
    assert!(after.to_string().contains("tls_client_auth") && bound == json!(true), "{after} {bound}");
    assert!(!after.to_string().contains("client_secret_jwt"), "nobody can be registered so: {after}");
}
