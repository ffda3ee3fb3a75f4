//! Bodies of answers: whole, gRPC with trailers, or a stream of frames.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use moongate_transport::BoxError;

/// A body of frames that come one by one.
pub type Frames = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, BoxError>> + Send>>;

/// The body of an answer.
pub enum ReplyBody {
    /// All of it.
    Whole(Option<Bytes>),
    /// One message and then trailers.
    Grpc(Option<Bytes>, Option<Box<HeaderMap>>),
    /// Frames as they come.
    Stream(Frames),
}

impl ReplyBody {
    /// A whole body.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Grpc(bytes, trailers) => {
                let frame = bytes.take().map(Frame::data);
                Poll::Ready(frame.or_else(|| trailers.take().map(|map| Frame::trailers(*map))).map(Ok))
            }
            Self::Stream(frames) => frames.as_mut().poll_next(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Grpc(bytes, trailers) => bytes.is_none() && trailers.is_none(),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Grpc(..) | Self::Stream(_) => SizeHint::default(),
        }
    }
}
