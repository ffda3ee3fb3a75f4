//! A token endpoint (RFC 6749): gives `token-1`, `token-2`, … to whoever asks, or whatever else it is told to answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// One request for a token.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The `Authorization` header.
    pub authorization: String,
    /// The form, still encoded.
    pub form: String,
}

impl Asked {
    /// A member of the form; of its encoding only what these tests need is undone.
    pub fn member(&self, name: &str) -> Option<String> {
        let found = self.form.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        found.map(|value| value.replace('+', " ").replace("%3A", ":").replace("%2F", "/"))
    }
}

struct State {
    asked: Mutex<Vec<Asked>>,
    refusal: Mutex<Option<(u16, Value)>>,
    expires_in: Mutex<u64>,
    grants: Mutex<Option<String>>,
}

/// A running endpoint; ends when dropped.
pub struct TokenEndpoint {
    address: SocketAddr,
    state: Arc<State>,
    server: JoinHandle<()>,
}

impl TokenEndpoint {
    /// Starts one whose tokens are valid for so long.
    pub async fn start(expires_in: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            asked: Mutex::default(),
            refusal: Mutex::default(),
            expires_in: Mutex::new(expires_in),
            grants: Mutex::default(),
        });
        let server = tokio::spawn(serve(listener, state.clone()));
        Self { address, state, server }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// Everything that it was asked, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    /// Its tokens are valid for so many seconds from now on.
    pub fn last(&self, seconds: u64) {
        *self.state.expires_in.lock().unwrap() = seconds;
    }

    /// Says from now on that it gives these scopes.
    pub fn grant(&self, scopes: &str) {
        *self.state.grants.lock().unwrap() = Some(scopes.to_owned());
    }

    /// Refuses everybody from now on, or no more.
    pub fn refuse(&self, with: Option<(u16, Value)>) {
        *self.state.refusal.lock().unwrap() = with;
    }
}

impl Drop for TokenEndpoint {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let state = state.clone();
        let service = service_fn(move |request| {
            let state = state.clone();
            async move { Ok::<_, Infallible>(answer(&state, request).await) }
        });
        connections.spawn(async move {
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(state: &State, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let authorization =
        request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let authorization = authorization.to_owned();
    let form = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let number = {
        let mut asked = state.asked.lock().unwrap();
        asked.push(Asked { authorization, form: String::from_utf8_lossy(&form).into_owned() });
        asked.len()
    };
    // Others come meanwhile.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (status, body) = state.refusal.lock().unwrap().clone().unwrap_or_else(|| {
        let expires_in = *state.expires_in.lock().unwrap();
        let token = format!("token-{number}");
        let mut answer = json!({"access_token": token, "token_type": "Bearer", "expires_in": expires_in});
        if form.starts_with(b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&") {
            answer["issued_token_type"] = json!("urn:ietf:params:oauth:token-type:access_token");
        }
        if let Some(scope) = state.grants.lock().unwrap().clone() {
            answer["scope"] = json!(scope);
        }
        (200, answer)
    });
    let builder = Response::builder().status(status).header("content-type", "application/json");
    builder.body(Full::new(Bytes::from(body.to_string()))).unwrap()
}
