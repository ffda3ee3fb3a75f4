//! One exchange with an address that the guard has judged.

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use moongate_core::seam::Egress;
use moongate_core::{Code, Problem};
use tokio::time::Instant;

use super::failed;
use crate::connect::Connector;
use crate::origin::Origin;
use crate::pool::h1::{self, Failed, Live};
use crate::pool::{PoolBody, SendError, Stage};

pub(super) async fn send(
    connector: &Connector,
    origin: &Origin,
    mut request: Request<Full<Bytes>>,
    guard: &dyn Egress,
) -> Result<Response<PoolBody>, Problem> {
    let deadline = Instant::now() + connector.limit();
    let mut addresses = connector.resolve(origin, deadline).await.map_err(failed)?;
    let found = addresses.len();
    addresses.retain(|address| guard.allows(*address, origin.secure));
    if addresses.is_empty() {
        return Err(Problem::new(Code::AgentUnreachable, "the address cannot be reached")
            .inside(format!("{}: the egress guard refuses all {found} addresses", origin.host)));
    }
    let socket = connector.connect_to(origin, &addresses, deadline).await.map_err(failed)?;
    let live = Live::open(socket, None).await.map_err(failed)?;
    let host = HeaderValue::from_str(&origin.authority())
        .map_err(|error| Problem::new(Code::Internal, "the request cannot be written").inside(error))?;
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    let answer = h1::exchange(live, request, None).await.map_err(|error| {
        failed(match error {
            Failed::Unsent(_, reason) => SendError::new(Stage::Connect, reason),
            Failed::Sent(error) => error,
        })
    })?;
    Ok(answer.map(PoolBody::inline))
}
