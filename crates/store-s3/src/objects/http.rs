//! What every answer of a service tells beside what was asked: its time, and whether it is well.

use std::{
    error::Error as StdError,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::{StatusCode, header::DATE};
use milepost_core::{Clock, SystemClock, Timestamp};
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
        ReqwestConnector,
    },
};

use crate::time::LATE;

/// How far the service's clock is from this machine's.
///
/// A header of whole seconds tells the time less well than machines that keep it, which agree to the millisecond. So this
/// machine's clock stands until an answer contradicts it by more than a second; then it is corrected by what answers say.
#[derive(Debug, Default)]
pub(crate) struct ServerTime {
    /// In microseconds; 0 while this machine's clock stands.
    ahead: AtomicI64,
}

/// In microseconds.
const SECOND: i64 = 1_000_000;

/// An answer that takes no longer tells the time as well as one can.
const QUICK: i64 = SECOND / 5;

impl ServerTime {
    /// The service's now.
    pub(crate) fn now(&self) -> Timestamp {
        let here = SystemClock::default().now();
        Timestamp(here.0.saturating_add(self.ahead.load(Ordering::Relaxed)))
    }

    /// Takes the header `Date` of an answer to a request that was sent then and has just come. It leaves out a part of a second, and
    /// the answer has taken its way, so it tells between which bounds the service's clock is.
    fn heard(&self, date: &str, sent: Timestamp) {
        let Ok(date) = httpdate::parse_http_date(date) else { return };
        let Ok(since) = date.duration_since(std::time::UNIX_EPOCH) else { return };
        let there = Timestamp::default() + since;
        let least = there.0.saturating_sub(SystemClock::default().now().0);
        let most = there.0.saturating_add(SECOND).saturating_sub(sent.0);
        let known = self.ahead.load(Ordering::Relaxed);
        // What has been corrected once is only trusted again by an answer that came quickly.
        let agrees = match known {
            0 => least <= SECOND && most >= -SECOND,
            _ => least <= 0 && most >= 0 && most - least <= SECOND + QUICK,
        };
        if agrees {
            self.ahead.store(0, Ordering::Relaxed);
        } else if known == 0 || least > known || most < known {
            // Of several the one that is furthest ahead is the closest, unless the clock has been set back there.
            self.ahead.store(least, Ordering::Relaxed);
        }
    }

    /// By how much this may be behind what another handle takes for the service's now.
    pub(crate) fn behind(&self) -> Duration {
        if self.ahead.load(Ordering::Relaxed) == 0 { Duration::ZERO } else { LATE }
    }
}

/// A service that is not well, or refuses what is no read or write of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unwell(pub(crate) StatusCode);

impl fmt::Display for Unwell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the service answers {}", self.0)
    }
}

impl StdError for Unwell {}

/// Makes clients that listen to what answers tell.
#[derive(Clone, Debug)]
pub(crate) struct Timed {
    time: Arc<ServerTime>,
}

impl Timed {
    pub(crate) fn new(time: Arc<ServerTime>) -> Self {
        Self { time }
    }
}

#[derive(Debug)]
struct Listening {
    client: HttpClient,
    time: Arc<ServerTime>,
}

impl HttpConnector for Timed {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Listening { client, time: self.time.clone() }))
    }
}

#[async_trait]
impl HttpService for Listening {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // Listings and whatever else is no plain read or write of an object: the driver keeps no code of their refusals.
        let asks = request.uri().query().is_some();
        let sent = SystemClock::default().now();
        let answer = self.client.execute(request).await?;
        if let Some(date) = answer.headers().get(DATE).and_then(|date| date.to_str().ok()) {
            self.time.heard(date, sent);
        }
        let status = answer.status();
        let unwell = asks && !status.is_success()
            || status.is_server_error()
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        // A code that can be told from others, which a text of the driver's is not.
        if unwell { Err(HttpError::new(HttpErrorKind::Unknown, Unwell(status))) } else { Ok(answer) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn now() -> Timestamp {
        SystemClock::default().now()
    }

    /// What a service says whose clock is this much ahead or behind, of a request that takes so long.
    fn hear(time: &ServerTime, clock: impl Fn(Timestamp) -> Timestamp, takes: Duration) {
        let (sent, there) = (now() - takes, clock(now() - takes));
        let date = std::time::UNIX_EPOCH + there.since(Timestamp::default());
        time.heard(&httpdate::fmt_http_date(date), sent);
    }

    /// How far it is from what this machine's clock says.
    fn off(time: &ServerTime) -> Duration {
        let (there, here) = (time.now(), now());
        there.since(here).max(here.since(there))
    }

    #[test]
    fn this_machines_clock_stands_while_no_answer_contradicts_it() {
        let (time, quick, slow) = (ServerTime::default(), Duration::ZERO, Duration::from_secs(30));
        let stands = |time: &ServerTime| off(time) < Duration::from_millis(500) && time.behind().is_zero();
        for takes in [quick, slow] {
            hear(&time, |now| now, takes);
            assert!(stands(&time), "an answer that takes {takes:?} is no contradiction");
        }
        hear(&time, |now| now + DAY, quick);
        assert!(off(&time) > DAY - Duration::from_secs(2) && time.behind() == LATE);
        hear(&time, |now| now + DAY, slow);
        assert!(off(&time) > DAY - Duration::from_secs(2), "a slow answer tells nothing new");
        hear(&time, |now| now - DAY, quick);
        assert!(off(&time) > DAY - Duration::from_secs(2) && time.now() < now(), "it has been set back");
        hear(&time, |now| now, quick);
        assert!(stands(&time), "and set right");
        time.heard("yesterday", now());
        assert!(stands(&time), "what is no date is not heard");
    }
}
