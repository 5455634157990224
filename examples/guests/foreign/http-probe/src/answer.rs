//! An answer that is being written: status and type first, then the body piece by piece, then its end.

use std::io::{self, Write};

use wasi::http::types::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasi::io::streams::OutputStream;

/// An answer whose head is sent. Dropping it unfinished tells the client that its body is broken off.
pub(crate) struct Answer {
    // Before the body in this order, because a body must not be dropped while its stream lives.
    stream: OutputStream,
    body: OutgoingBody,
}

impl Answer {
    /// Sends the head.
    pub(crate) fn begin(out: ResponseOutparam, status: u16, content_type: &str) -> io::Result<Self> {
        let refused = |what: &str| io::Error::other(format!("the host refused the {what} of an answer"));
        let headers = Fields::from_list(&[("content-type".to_owned(), content_type.as_bytes().to_vec())]);
        let response = OutgoingResponse::new(headers.map_err(|_| refused("headers"))?);
        response.set_status_code(status).map_err(|()| refused("status"))?;
        let body = response.body().map_err(|()| refused("body"))?;
        let stream = body.write().map_err(|()| refused("body"))?;
        ResponseOutparam::set(out, Ok(response));
        Ok(Self { stream, body })
    }

    /// Takes the next bytes of the body; waits while the client is slower.
    pub(crate) fn writer(&mut self) -> &mut impl Write {
        &mut self.stream
    }

    /// Ends the body.
    pub(crate) fn finish(self) -> io::Result<()> {
        let Self { stream, body } = self;
        stream.blocking_flush().map_err(io::Error::other)?;
        drop(stream);
        OutgoingBody::finish(body, None).map_err(|error| io::Error::other(format!("cannot end an answer: {error}")))
    }

    /// Writes a whole body and ends it.
    pub(crate) fn text(mut self, text: &str) -> io::Result<()> {
        self.writer().write_all(text.as_bytes())?;
        self.finish()
    }
}
