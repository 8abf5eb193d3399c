//! What every answer of a service tells beside what was asked: its time, and whether it is well.

use std::{
    error::Error as StdError,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
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
    heard: AtomicBool,
}

const SECOND: i64 = 1_000_000;

/// An answer is not so much behind, in microseconds, unless the clock was set back or the answer took very long.
const BEHIND: i64 = 5 * SECOND;

impl ServerTime {
    /// The service's now.
    pub(crate) fn now(&self) -> Timestamp {
        let here = SystemClock::default().now();
        Timestamp(here.0.saturating_add(self.ahead.load(Ordering::Relaxed)))
    }

    /// Takes the header `Date` of an answer. It is behind by what it leaves out of a second and by the answer's way, so of
    /// several the one that is furthest ahead is the closest; unless the clock has been set back there.
    fn heard(&self, date: &str) {
        let Ok(date) = httpdate::parse_http_date(date) else { return };
        let Ok(since) = date.duration_since(std::time::UNIX_EPOCH) else { return };
        let there = Timestamp::default() + since;
        let here = SystemClock::default().now();
        let ahead = there.0.saturating_sub(here.0);
        let known = self.ahead.load(Ordering::Relaxed);
        let first = !self.heard.swap(true, Ordering::Relaxed);
        // What has been corrected once is only trusted again where nothing is wrong with it.
        let agrees = if known == 0 { -2 * SECOND..=SECOND } else { -SECOND..=0 };
        if agrees.contains(&ahead) {
            self.ahead.store(0, Ordering::Relaxed);
        } else if first || known == 0 || ahead > known || ahead < known.saturating_sub(BEHIND) {
            self.ahead.store(ahead, Ordering::Relaxed);
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
        let answer = self.client.execute(request).await?;
        if let Some(date) = answer.headers().get(DATE).and_then(|date| date.to_str().ok()) {
            self.time.heard(date);
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

    fn header(since: Timestamp) -> String {
        httpdate::fmt_http_date(std::time::UNIX_EPOCH + since.since(Timestamp::default()))
    }

    #[test]
    fn this_machines_clock_stands_while_no_answer_contradicts_it() {
        let time = ServerTime::default();
        let now = || SystemClock::default().now();
        let off = |time: &ServerTime| time.now().0.abs_diff(now().0);
        time.heard(&header(now()));
        assert!(off(&time) < 100_000 && time.behind() == Duration::ZERO);
        time.heard(&header(now() + Duration::from_secs(3)));
        assert!(off(&time) > 1_900_000 && time.behind() == LATE, "the service is two seconds ahead at least");
        time.heard(&header(now() + Duration::from_secs(1)));
        assert!(off(&time) > 1_900_000, "of several answers the furthest ahead is the closest");
        time.heard(&header(now() - Duration::from_secs(60)));
        assert!(off(&time) > 59_000_000, "it has been set back");
        time.heard(&header(now()));
        assert!(off(&time) < 100_000 && time.behind() == Duration::ZERO, "and set right");
    }

    #[test]
    fn the_services_clock_is_taken_from_its_answers() {
        let time = ServerTime::default();
        time.heard("Sun, 06 Nov 1994 08:49:37 GMT");
        let told = Timestamp(784_111_777_000_000);
        assert!(time.now() >= told && time.now().since(told) < Duration::from_secs(60));
        time.heard("yesterday");
        assert!(time.now().since(told) < Duration::from_secs(60), "what is no date is not heard");
    }
}
