//! What agents are shown: the gateway's own credentials, never those of callers.

use std::sync::Arc;

use moongate_testkit::agent::{Agent, Plan};
use moongate_testkit::files::write_secret;
use moongate_testkit::issuer::{Issuer, SigningKey, header, verifies};
use moongate_testkit::token_endpoint::TokenEndpoint;
use serde_json::json;

use crate::stage::{Binding, Caller, Gateway, Operation, SPEAKERS, Version, saying, state, with_entries};
use crate::support::{eventually, folder, reload};

const SECRET: &str = "s3cret-of-the-gateway";

fn oauth(endpoint: &TokenEndpoint, more: &str) -> String {
    let url = endpoint.url();
    format!(
        "auth = {{ oauth = {{ token_url = \"{url}\", client_id = \"gateway\", client_secret = \"{SECRET}\"{more} }} }}\n"
    )
}

async fn says(gateway: &Gateway) -> Result<(), String> {
    let sent = Caller::rpc(&gateway.plain()).call(Operation::Send, &saying("echo hello")).await;
    let sent = sent.map_err(|refusal| format!("{:?} {}", refusal.gateway_code, refusal.message))?;
    assert_eq!(state(&sent["task"]), "COMPLETED", "{sent}");
    Ok(())
}

#[tokio::test]
async fn a_callers_token_stays_here_and_the_agent_sees_the_gateways_own() {
    let issuer = Issuer::start().await;
    for binding in [Binding::JsonRpc, Binding::Http] {
        for version in [Version::V1, Version::V03] {
            let agent = Agent::start(Plan::new("home").speaking(binding, version)).await;
            let endpoint = TokenEndpoint::start(600).await;
            let entry =
                agent.entry(&oauth(&endpoint, ", scope = \"home.use home.see\", resource = \"https://home.test/\""));
            let gateway = with_entries(&[entry], &issuer.entry(&["a2a:*:*"], "")).await;
            for (binding, version) in SPEAKERS {
                let token = issuer.token("a2a:*:*");
                let caller = Caller::new(&gateway.plain(), binding, version);
                let caller = caller
                    .with("authorization", &format!("Bearer {token}"))
                    .with("x-api-key", &token)
                    .with("cookie", &token);
                let sent = caller.call(Operation::Send, &saying("echo hello")).await.unwrap();
                assert_eq!(state(&sent["task"]), "COMPLETED", "{sent}");
                caller.events(Operation::Stream, &saying("stream 1")).await.unwrap();
                for seen in agent.received() {
                    assert_eq!(seen.header("authorization"), Some("Bearer token-1"), "{}", seen.path);
                    let whole = format!("{:?} {}", seen.headers, String::from_utf8_lossy(&seen.body));
                    assert!(!whole.contains(&token), "{whole}");
                }
            }
            let asked = endpoint.asked();
            assert_eq!(asked.len(), 1, "one token for all requests");
            assert_eq!(asked[0].authorization, "Basic Z2F0ZXdheTpzM2NyZXQtb2YtdGhlLWdhdGV3YXk=");
            assert_eq!(asked[0].member("grant_type").as_deref(), Some("client_credentials"));
            assert_eq!(asked[0].member("scope").as_deref(), Some("home.use home.see"));
            assert_eq!(asked[0].member("resource").as_deref(), Some("https://home.test/"));
            for told in [SECRET, "token-1", "Z2F0ZXdheTpz"] {
                assert!(!gateway.log_text().contains(told), "{told} is in the log");
            }
        }
    }
}

#[tokio::test]
async fn tokens_and_keys_of_the_configuration_are_shown_as_they_are() {
    let cases = [
        ("auth = { bearer = \"abc\" }\n", "authorization", "Bearer abc"),
        ("auth = { api_key = \"abc\" }\n", "x-api-key", "abc"),
        ("auth = { api_key = \"abc\", header = \"X-Lights-Key\" }\n", "x-lights-key", "abc"),
        ("authorization = \"Basic abc\"\n", "authorization", "Basic abc"),
    ];
    for (more, name, value) in cases {
        let agent = Agent::start(Plan::new("home")).await;
        let gateway = with_entries(&[agent.entry(more)], "").await;
        let caller = Caller::rpc(&gateway.plain()).with(name, "Bearer mallory");
        let sent = if name == "authorization" {
            says(&gateway).await
        } else {
            caller.call(Operation::Send, &saying("echo hello")).await.map(|_| ()).map_err(|refusal| refusal.message)
        };
        sent.unwrap();
        assert_eq!(agent.last_received().headers.get_all(name).iter().collect::<Vec<_>>(), [value], "{more}");
    }
}

#[tokio::test]
async fn all_who_wait_share_one_token_and_a_reload_keeps_it() {
    let agent = Agent::start(Plan::new("home")).await;
    let endpoint = TokenEndpoint::start(600).await;
    let listen =
        "[listen]\nmain = \"off\"\nplain = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[store]\nurl = \"memory:\"\n";
    let toml = |zone: &str| format!("{listen}{}", agent.entry(&format!("{}zone = \"{zone}\"\n", oauth(&endpoint, ""))));
    let gateway = Gateway::start(crate::stage::MOONGATE, &toml("hall")).await;
    let all = (0..8).map(|_| says(&gateway));
    for sent in futures_util::future::join_all(all).await {
        sent.unwrap();
    }
    assert_eq!(endpoint.asked().len(), 1);
    reload(&gateway, &toml("kitchen")).await;
    says(&gateway).await.unwrap();
    assert_eq!(endpoint.asked().len(), 1);
    reload(&gateway, &toml("kitchen").replace(SECRET, "another")).await;
    eventually("the new secret is used", || async {
        says(&gateway).await.unwrap();
        endpoint.asked().len() == 2
    })
    .await;
}

#[tokio::test]
async fn a_token_that_runs_out_is_fetched_again_before_anybody_notices() {
    let agent = Agent::start(Plan::new("home")).await;
    let endpoint = TokenEndpoint::start(2).await;
    let gateway = with_entries(&[agent.entry(&oauth(&endpoint, ""))], "").await;
    eventually("three tokens", || async {
        says(&gateway).await.unwrap();
        endpoint.asked().len() >= 3
    })
    .await;
    let shown: Vec<String> =
        agent.received().iter().filter_map(|seen| seen.header("authorization").map(str::to_owned)).collect();
    let first_of = |token: &str| shown.iter().position(|value| value == token).unwrap();
    assert!(first_of("Bearer token-1") < first_of("Bearer token-2"), "{shown:?}");
}

#[tokio::test]
async fn a_token_that_the_agent_refuses_is_fetched_anew_once() {
    let agent = Agent::start(Plan::new("home")).await;
    let endpoint = TokenEndpoint::start(600).await;
    let gateway = with_entries(&[agent.entry(&oauth(&endpoint, ""))], "").await;
    says(&gateway).await.unwrap();
    agent.accept_only("Bearer token-2");
    says(&gateway).await.unwrap();
    assert_eq!((endpoint.asked().len(), agent.last_received().header("authorization")), (2, Some("Bearer token-2")));
    // An agent that accepts nothing does not make the gateway ask for tokens all the time.
    agent.accept_only("nothing");
    for _ in 0..3 {
        let refused = says(&gateway).await.unwrap_err();
        assert!(refused.contains("MG-0507"), "{refused}");
    }
    assert_eq!(endpoint.asked().len(), 2);
}

#[tokio::test]
async fn without_a_token_the_agent_is_not_asked_and_nothing_secret_is_told() {
    let agent = Agent::start(Plan::new("home")).await;
    let endpoint = TokenEndpoint::start(600).await;
    endpoint.refuse(Some((401, json!({"error": "invalid_client", "error_description": SECRET}))));
    let gateway = with_entries(&[agent.entry(&oauth(&endpoint, ""))], "").await;
    for _ in 0..3 {
        let refused = says(&gateway).await.unwrap_err();
        assert!(refused.contains("MG-0418") && refused.contains("(invalid_client)"), "{refused}");
        assert!(!refused.contains("127.0.0.1") && !refused.contains(SECRET), "{refused}");
    }
    assert_eq!((endpoint.asked().len(), agent.received().len()), (1, 0), "after a failure the endpoint is left alone");
    assert!(!gateway.log_text().contains(SECRET));
    assert!(gateway.log_text().contains("HTTP 401"), "{}", gateway.log_text());
    endpoint.refuse(None);
    eventually("it works again", || async { says(&gateway).await.is_ok() }).await;
}

#[tokio::test]
async fn a_key_proves_the_gateway_in_place_of_a_secret() {
    let agent = Agent::start(Plan::new("home")).await;
    let endpoint = TokenEndpoint::start(600).await;
    let (key, folder) = (SigningKey::new("gateway-1"), folder());
    let file = folder.path().join("client.key.pem");
    write_secret(&file, &key.pem());
    let (url, file) = (endpoint.url(), file.display());
    let auth = format!(
        "auth = {{ oauth = {{ token_url = \"{url}\", client_id = \"gateway\", private_key = \"{file}\", key_id = \"gateway-1\" }} }}\n"
    );
    let gateway = with_entries(&[agent.entry(&auth)], "").await;
    says(&gateway).await.unwrap();
    let asked = endpoint.asked().remove(0);
    assert_eq!(asked.authorization, "");
    assert_eq!(
        asked.member("client_assertion_type").as_deref(),
        Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    );
    let assertion = asked.member("client_assertion").unwrap();
    let parts: Vec<&str> = assertion.split('.').collect();
    assert_eq!(header(parts[0]), json!({"alg": "ES256", "typ": "JWT", "kid": "gateway-1"}));
    let claims = header(parts[1]);
    assert_eq!((&claims["iss"], &claims["sub"], &claims["aud"]), (&json!("gateway"), &json!("gateway"), &json!(url)));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
    let keys = json!({"keys": [key.jwk()]});
    assert!(verifies(&keys, parts[0], &[claims.to_string().into_bytes()], parts[2]).is_some(), "{assertion}");
}

/// A server that asks for a certificate, and notes whose it was shown.
async fn mtls_agent(folder: &std::path::Path) -> (std::net::SocketAddr, Arc<parking_lot::Mutex<Vec<usize>>>) {
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_cert = ca.self_signed(&ca_key).unwrap();
    std::fs::create_dir(folder.join("ca")).unwrap();
    std::fs::write(folder.join("ca/ca.pem"), ca_cert.pem()).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let leaf = |usage| {
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let (client, client_key) = leaf(ExtendedKeyUsagePurpose::ClientAuth);
    std::fs::write(folder.join("client.pem"), client.pem()).unwrap();
    write_secret(&folder.join("client.key"), &client_key.serialize_pem());
    let (server, server_key) = leaf(ExtendedKeyUsagePurpose::ServerAuth);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca_cert.der().clone()).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from(server.der().to_vec())],
            PrivateKeyDer::try_from(server_key.serialize_der()).unwrap(),
        )
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shown = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let (acceptor, seen) = (tokio_rustls::TlsAcceptor::from(Arc::new(config)), shown.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, seen) = (acceptor.clone(), seen.clone());
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(stream).await else { return };
                seen.lock().push(tls.get_ref().1.peer_certificates().map_or(0, <[_]>::len));
                let service = hyper::service::service_fn(
                    move |request: http::Request<hyper::body::Incoming>| async move {
                        let card = crate::support::card("home", &format!("https://{address}/rpc"), &[json!("home.do")]);
                        let body = if request.method() == http::Method::GET {
                            card
                        } else {
                            json!({"jsonrpc": "2.0", "id": 1, "result": {"message": {
                            "messageId": "m", "contextId": "c", "role": "ROLE_AGENT", "parts": [{"text": "home: yes"}]}}})
                        };
                        let body = http_body_util::Full::new(bytes::Bytes::from(body.to_string()));
                        let response = http::Response::builder().header("content-type", "application/json").body(body);
                        Ok::<_, std::convert::Infallible>(response.unwrap())
                    },
                );
                let io = hyper_util::rt::TokioIo::new(tls);
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
            });
        }
    });
    (address, shown)
}

#[tokio::test]
async fn an_agent_that_asks_for_a_certificate_is_shown_the_gateways() {
    let folder = folder();
    let (address, shown) = mtls_agent(folder.path()).await;
    let place = folder.path().display();
    let entry = |more: &str| {
        format!(
            "[[agents]]\nname = \"home\"\ncard_url = \"https://{address}/.well-known/agent-card.json\"\nqueue = false\n{more}"
        )
    };
    let tls = format!("[tls]\nca_dir = \"{place}/ca\"\n");
    let bare = with_entries(&[entry("")], &tls).await;
    let refused = Caller::rpc(&bare.plain()).call(Operation::Send, &saying("hello")).await.unwrap_err();
    assert_eq!(refused.gateway_code.as_deref(), Some("MG-0303"), "{refused:?}");
    assert!(shown.lock().is_empty());
    let with = entry(&format!("client_cert = \"{place}/client.pem\"\nclient_key = \"{place}/client.key\"\n"));
    let gateway = with_entries(&[with], &tls).await;
    let sent = Caller::rpc(&gateway.plain()).call(Operation::Send, &saying("hello")).await.unwrap();
    assert_eq!(sent["message"]["parts"][0]["text"], "home: yes", "{sent}");
    assert!(shown.lock().iter().all(|certificates| *certificates == 1) && !shown.lock().is_empty());
}

/// A gRPC agent that knows nobody but who shows `token-2`, and has nothing to say to them either; notes all headers.
async fn grpc_agent() -> (std::net::SocketAddr, Arc<parking_lot::Mutex<Vec<http::HeaderMap>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let noted = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let noted = noted.clone();
            let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let known = request.headers().get("authorization").is_some_and(|value| value == "Bearer token-2");
                let builder = http::Response::builder();
                let response = if request.method() == http::Method::GET {
                    let mut card = crate::support::card("home", "", &[json!("home.do")]);
                    card["supportedInterfaces"] = json!([{
                        "url": address.to_string(), "protocolBinding": "GRPC", "protocolVersion": "1.0"}]);
                    builder.header("content-type", "application/json").body(card.to_string())
                } else {
                    noted.lock().push(request.headers().clone());
                    let status = if known { "9" } else { "16" };
                    builder.header("content-type", "application/grpc").header("grpc-status", status).body(String::new())
                };
                let response = response.unwrap().map(|body| http_body_util::Full::new(bytes::Bytes::from(body)));
                async move { Ok::<_, std::convert::Infallible>(response) }
            });
            tokio::spawn(async move {
                let io = hyper_util::rt::TokioIo::new(stream);
                let server = hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new());
                let _ = server.serve_connection(io, service).await;
            });
        }
    });
    (address, seen)
}

#[tokio::test]
async fn an_agent_of_grpc_sees_the_same_and_may_refuse_a_token_too() {
    let (address, seen) = grpc_agent().await;
    let (issuer, endpoint) = (Issuer::start().await, TokenEndpoint::start(600).await);
    let card_url = format!("http://{address}/.well-known/agent-card.json");
    let entry =
        format!("[[agents]]\nname = \"home\"\ncard_url = \"{card_url}\"\nqueue = false\n{}", oauth(&endpoint, ""));
    let gateway = with_entries(&[entry], &issuer.entry(&["a2a:*:*"], "")).await;
    for (binding, version) in SPEAKERS {
        let token = issuer.token("a2a:*:*");
        let caller = Caller::new(&gateway.plain(), binding, version).with("authorization", &format!("Bearer {token}"));
        let refusal = caller.call(Operation::Send, &saying("hello")).await.unwrap_err();
        assert_ne!(refusal.gateway_code.as_deref(), Some("MG-0507"), "{refusal:?}");
        assert!(!format!("{:?}", seen.lock()).contains(&token));
    }
    let shown: Vec<String> =
        seen.lock().iter().map(|headers| headers["authorization"].to_str().unwrap().to_owned()).collect();
    assert_eq!(shown[0], "Bearer token-1");
    assert!(shown[1..].iter().all(|value| value == "Bearer token-2") && shown.len() == SPEAKERS.len() + 1, "{shown:?}");
    assert_eq!(endpoint.asked().len(), 2);
}
