//! One error type with a small closed set of kinds.
//!
//! The kind alone decides the HTTP status, whether a flow tries again, and how
//! loudly the event is logged. The `code` (`noun.reason`) is stable and is what
//! programs and translations go by; the message is English prose for people.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// What went wrong, in the only distinctions that callers act upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request itself is wrong. HTTP 400.
    Invalid,
    /// The request is well formed but points at something that is not there. HTTP 422.
    Dangling,
    /// Nobody has shown who they are. HTTP 401.
    Unauthenticated,
    /// The actor is known and may not. HTTP 403.
    Forbidden,
    /// There is no such thing, or its existence is none of the actor's business. HTTP 404.
    NotFound,
    /// The state of the object forbids it. HTTP 409.
    Conflict,
    /// The caller named a revision that has moved on. HTTP 412.
    Stale,
    /// Two transactions met; the same call may succeed when repeated. HTTP 409.
    Contended,
    /// Too many requests, ours or a vendor's limit. HTTP 429.
    Throttled,
    /// Capacity or quota is used up. HTTP 409.
    Exhausted,
    /// Something needed is away for now. HTTP 503.
    Unavailable,
    /// Asked, and no answer came: neither done nor failed until somebody looks. HTTP 503.
    Uncertain,
    /// Our own mistake. HTTP 500, told to the caller only as a request id.
    Bug,
}

impl Kind {
    /// The HTTP status that this kind is answered with.
    pub fn status(self) -> u16 {
        match self {
            Kind::Invalid => 400,
            Kind::Dangling => 422,
            Kind::Unauthenticated => 401,
            Kind::Forbidden => 403,
            Kind::NotFound => 404,
            Kind::Conflict | Kind::Contended | Kind::Exhausted => 409,
            Kind::Stale => 412,
            Kind::Throttled => 429,
            Kind::Unavailable | Kind::Uncertain => 503,
            Kind::Bug => 500,
        }
    }

    /// Whether the same work may succeed when it is simply done again.
    pub fn is_transient(self) -> bool {
        matches!(self, Kind::Contended | Kind::Throttled | Kind::Unavailable | Kind::Uncertain)
    }
}

/// An error with its kind, its stable code and a message that says what to do.
#[derive(Clone)]
pub struct Error(Box<Body>);

#[derive(Clone)]
struct Body {
    kind: Kind,
    code: Cow<'static, str>,
    message: String,
    attribute: Option<String>,
    retry_after: Option<Duration>,
    source: Option<std::sync::Arc<dyn std::error::Error + Send + Sync>>,
}

/// The result of everything that can fail in this house.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
            Self::new(Kind::$kind, code, message)
        }
    )*};
}

impl Error {
    /// An error of any kind; the named constructors below read better.
    pub fn new(kind: Kind, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Error(Box::new(Body {
            kind,
            code: code.into(),
            message: message.into(),
            attribute: None,
            retry_after: None,
            source: None,
        }))
    }

    constructors! {
        /// See [`Kind::Invalid`].
        invalid => Invalid;
        /// See [`Kind::Dangling`].
        dangling => Dangling;
        /// See [`Kind::Unauthenticated`].
        unauthenticated => Unauthenticated;
        /// See [`Kind::Forbidden`].
        forbidden => Forbidden;
        /// See [`Kind::NotFound`].
        not_found => NotFound;
        /// See [`Kind::Conflict`].
        conflict => Conflict;
        /// See [`Kind::Stale`].
        stale => Stale;
        /// See [`Kind::Contended`].
        contended => Contended;
        /// See [`Kind::Throttled`].
        throttled => Throttled;
        /// See [`Kind::Exhausted`].
        exhausted => Exhausted;
        /// See [`Kind::Unavailable`].
        unavailable => Unavailable;
        /// See [`Kind::Uncertain`].
        uncertain => Uncertain;
        /// See [`Kind::Bug`].
        bug => Bug;
    }

    /// Names the attribute (a dotted path) that the error is about.
    #[must_use]
    pub fn at(mut self, attribute: impl Into<String>) -> Self {
        self.0.attribute = Some(attribute.into());
        self
    }

    /// Says when trying again makes sense.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Keeps the error that caused this one, for the log.
    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(std::sync::Arc::new(source));
        self
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The stable code, `noun.reason`.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The message for people, in English.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The attribute concerned, as a dotted path.
    pub fn attribute(&self) -> Option<&str> {
        self.0.attribute.as_deref()
    }

    /// How long to wait before trying again, where known.
    pub fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.attribute {
            Some(attribute) => write!(f, "{attribute}: {}", self.0.message),
            None => f.write_str(&self.0.message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}: {self}", self.0.kind, self.0.code)?;
        let mut cause = std::error::Error::source(self);
        while let Some(inner) = cause {
            write!(f, " ← {inner}")?;
            cause = inner.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|s| s as &(dyn std::error::Error + 'static))
    }
}
