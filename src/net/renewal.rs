//! Another authentication of a connection in use, before its session ends (KIP-368).
//!
//! The steps are those of the set-up ([`authenticate`]); the pipeline decides when they begin and lets their requests go ahead.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use tokio::sync::mpsc;
use tokio::sync::oneshot;

use super::authenticate::Carrier;
use super::authenticate::authenticate;
use super::outgoing::Reply;
use super::settings::Settings;
use crate::conn::login::Session;
use crate::conn::pipeline::Pipeline;
use crate::error::Error;
use crate::error::Kind;
use crate::sasl::Sasl;
use crate::wire::Request;
use crate::wire::Response;

/// A request of the authentication, and the way back of its response.
type Asked = (Request, oneshot::Sender<Result<Response, Error>>);

/// An authentication that goes on.
pub(super) struct Renewal {
    steps: Pin<Box<dyn Future<Output = Result<Option<Session>, Error>> + Send>>,
    asked: mpsc::UnboundedReceiver<Asked>,
}

impl Renewal {
    pub(super) fn start(settings: Arc<Settings>, host: String) -> Self {
        let (sender, asked) = mpsc::unbounded_channel();
        let steps = async move {
            let missing = || Error::new(Kind::Closed, "the connection has no credentials");
            let sasl: &Sasl = settings.sasl.as_ref().ok_or_else(missing)?;
            authenticate(&mut Ahead(sender), sasl, &host).await
        };
        Self { steps: Box::pin(steps), asked }
    }

    /// Goes on until the authentication waits for something or is done.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        pipeline: &mut Pipeline<Reply>,
    ) -> Poll<Result<Option<Session>, Error>> {
        loop {
            if let Poll::Ready(outcome) = self.steps.as_mut().poll(cx) {
                return Poll::Ready(outcome);
            }
            // The steps send one request at a time, so there is no more than one here.
            match self.asked.poll_recv(cx) {
                Poll::Ready(Some((request, sender))) => pipeline.submit_ahead(request, Reply::Oneshot(sender)),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Carries the requests of an authentication over a connection in use.
struct Ahead(mpsc::UnboundedSender<Asked>);

impl Carrier for Ahead {
    async fn call(&mut self, request: Request) -> Result<Response, Error> {
        let (sender, response) = oneshot::channel();
        let ended = || Error::new(Kind::Connect, "the connection ended");
        self.0.send((request, sender)).map_err(|_| ended())?;
        response.await.map_err(|_| ended())?
    }
}
