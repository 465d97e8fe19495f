//! The one room that sees `prometheus`' types for measuring. Invariant: labels are routes and statuses, never people,
//! cameras or connections.

use axum::http::StatusCode;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, core::Collector};
use std::time::Duration;

/// What the service measures of itself.
pub(crate) struct Metrics {
    calls: IntCounterVec,
    seconds: HistogramVec,
    refused: IntCounterVec,
    agents: IntGauge,
    event_streams: IntGauge,
}

/// Counts a socket or a stream for as long as it lives.
pub(crate) struct Counted(IntGauge);

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let calls = Opts::new("sunroom_signaling_calls_total", "Calls answered, by route and status");
        let seconds = HistogramOpts::new("sunroom_signaling_call_seconds", "Time to answer a call, by route");
        let refused = Opts::new("sunroom_signaling_refused_total", "Calls refused for their rate, by limit");
        let metrics = Self {
            calls: IntCounterVec::new(calls, &["route", "status"])?,
            seconds: HistogramVec::new(seconds, &["route"])?,
            refused: IntCounterVec::new(refused, &["why"])?,
            agents: IntGauge::new("sunroom_signaling_agents", "Edge agents connected")?,
            event_streams: IntGauge::new("sunroom_signaling_event_streams", "Streams of sessions' events open")?,
        };
        let all: [Box<dyn Collector>; 5] = [
            Box::new(metrics.calls.clone()),
            Box::new(metrics.seconds.clone()),
            Box::new(metrics.refused.clone()),
            Box::new(metrics.agents.clone()),
            Box::new(metrics.event_streams.clone()),
        ];
        for collector in all {
            registry.register(collector)?;
        }
        Ok(metrics)
    }

    pub(crate) fn call(&self, route: &str, status: StatusCode, time: Duration) {
        self.calls.with_label_values(&[route, status.as_str()]).inc();
        self.seconds.with_label_values(&[route]).observe(time.as_secs_f64());
    }

    /// A call that is over the limit `why`.
    pub(crate) fn refused(&self, why: &str) {
        self.refused.with_label_values(&[why]).inc();
    }

    pub(crate) fn agent(&self) -> Counted {
        Counted::new(&self.agents)
    }

    pub(crate) fn event_stream(&self) -> Counted {
        Counted::new(&self.event_streams)
    }
}

impl Counted {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
