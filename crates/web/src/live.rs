//! Live events: what happens, told to pages that are open now.
//!
//! Fed after the commit ([`Live::tell`], called by the house's reactions), kept
//! nowhere: a page that was away reads what it shows again. Who listens hears
//! only of tenants within sight, and only kind, identifier and revision; to see
//! more, it asks as anybody does. Servers that share a database each tell of
//! what they themselves did.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use base::id::TenantId;
use base::{Error, Result, limits};
use futures_util::Stream;
use gate::{Cx, RecordFact, Relation, Tx};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

/// Something that happened a moment ago.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Happened {
    /// The fact's name, for example `RecordStateChanged` or `StepFinished`.
    pub name: String,
    /// The kind of object.
    pub kind: String,
    /// The object.
    pub id: String,
    /// Its revision, 0 where it has none.
    pub revision: i64,
    /// Whose it is.
    #[serde(skip)]
    pub tenant: TenantId,
}

/// Where it is told. Cheap to clone.
#[derive(Clone)]
pub struct Live {
    sender: broadcast::Sender<Arc<Happened>>,
    slots: Arc<Semaphore>,
}

impl Default for Live {
    fn default() -> Self {
        Live {
            sender: broadcast::channel(limits::LIVE_EVENTS_MAX).0,
            slots: Arc::new(Semaphore::new(limits::LISTENERS_MAX)),
        }
    }
}

impl Live {
    /// Tells of a record once the transaction is durable. A reaction.
    pub fn tell(&self, tx: &mut Tx<'_>, fact: &RecordFact) {
        let happened = Happened {
            name: fact.name.to_owned(),
            kind: fact.kind.to_owned(),
            id: fact.id.clone(),
            revision: fact.revision,
            tenant: fact.tenant,
        };
        self.tell_of(tx, happened);
    }

    /// [`Live::tell`] of anything.
    pub fn tell_of(&self, tx: &mut Tx<'_>, happened: Happened) {
        if self.sender.receiver_count() > 0 {
            let sender = self.sender.clone();
            tx.after_commit(move || drop(sender.send(Arc::new(happened))));
        }
    }

    /// What happens from now on within sight of `cx`, where `wanted` says so.
    ///
    /// # Errors
    /// `Throttled` where too many listen already.
    pub fn listen(&self, cx: Cx, wanted: impl Fn(&Happened) -> bool + Send + 'static) -> Result<Listening> {
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| {
            Error::new(base::Kind::Throttled, "live.too_many", "too many pages listen; reload in a while")
                .retry_after(Duration::from_secs(10))
        })?;
        Ok(Listening {
            stream: BroadcastStream::new(self.sender.subscribe()),
            cx,
            wanted: Box::new(wanted),
            _slot: slot,
        })
    }
}

/// A stream of what happens. `None` in it says that some was missed: read again.
pub struct Listening {
    stream: BroadcastStream<Arc<Happened>>,
    cx: Cx,
    wanted: Box<dyn Fn(&Happened) -> bool + Send>,
    _slot: OwnedSemaphorePermit,
}

impl Stream for Listening {
    type Item = Option<Arc<Happened>>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match Pin::new(&mut self.stream).poll_next(task) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(BroadcastStreamRecvError::Lagged(_)))) => return Poll::Ready(Some(None)),
                Poll::Ready(Some(Ok(happened))) => {
                    let seen = matches!(self.cx.relation(happened.tenant), Relation::Own | Relation::Below);
                    if seen && (self.wanted)(&happened) {
                        return Poll::Ready(Some(Some(happened)));
                    }
                }
            }
        }
    }
}

impl Listening {
    /// As server-sent events: `event: happened` with the fact as JSON, `event:
    /// again` where the page must read all it shows once more.
    pub fn into_sse(self) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
        use tokio_stream::StreamExt as _;
        let events = self.map(|happened| {
            Ok(match happened {
                Some(happened) => {
                    Event::default().event("happened").data(serde_json::to_string(&*happened).unwrap_or_default())
                }
                None => Event::default().event("again").data(""),
            })
        });
        Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
    }
}
