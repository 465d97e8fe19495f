//! The one room that sees `prometheus`' types for measuring. Invariant: labels are routes and statuses, never people,
//! cameras or connections.

use axum::http::StatusCode;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};
use std::time::Duration;

/// What the service measures of itself.
pub(crate) struct Metrics {
    calls: IntCounterVec,
    seconds: HistogramVec,
    agents: IntGauge,
}

/// Counts an agent's socket for as long as it lives.
pub(crate) struct AgentGauge(IntGauge);

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let calls = Opts::new("sunroom_signaling_calls_total", "Calls answered, by route and status");
        let seconds = HistogramOpts::new("sunroom_signaling_call_seconds", "Time to answer a call, by route");
        let metrics = Self {
            calls: IntCounterVec::new(calls, &["route", "status"])?,
            seconds: HistogramVec::new(seconds, &["route"])?,
            agents: IntGauge::new("sunroom_signaling_agents", "Edge agents connected")?,
        };
        registry.register(Box::new(metrics.calls.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.agents.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn call(&self, route: &str, status: StatusCode, time: Duration) {
        self.calls.with_label_values(&[route, status.as_str()]).inc();
        self.seconds.with_label_values(&[route]).observe(time.as_secs_f64());
    }

    pub(crate) fn agent(&self) -> AgentGauge {
        self.agents.inc();
        AgentGauge(self.agents.clone())
    }
}

impl Drop for AgentGauge {
    fn drop(&mut self) {
        self.0.dec();
    }
}
