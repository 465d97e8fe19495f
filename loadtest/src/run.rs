//! A run: cameras are published, viewers come, every second is recorded, all leave. A ramp raises the number of viewers
//! until an objective breaks.

use crate::forces::{Forces, ForcesError};
use crate::measure::Measures;
use crate::outcome::{Cost, Outcome, Second, Step, VERSION};
use crate::scenario::Scenario;
use crate::server::{Sample, Server, ServerError};
use crate::slo::Verdict;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a step of a ramp waits for all of its viewers' pictures.
const STEP_PATIENCE: Duration = Duration::from_secs(30);
/// Seconds from the last picture of a step to its measurement: the cached GOPs of the last joins are still to come.
const SETTLE: usize = 3;
/// Fewest joins from which the cost of one is told.
const JOINS_FOR_COST: u64 = 50;

/// What a run is, beside its scenario.
pub struct Plan {
    /// What is to be done, and met.
    pub scenario: Scenario,
    /// Raises viewers by steps.
    pub ramp: Option<Ramp>,
}

/// How a ramp goes up: from `start` by `step` viewers, to `most`; each step is held for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    /// Viewers of the first step.
    pub start: u32,
    /// Viewers more in each further one.
    pub step: u32,
    /// No more than this.
    pub most: u32,
    /// How long a step is measured, once everybody has a picture.
    pub hold: Duration,
}

/// What is told while a run goes on.
pub trait Watch: Send {
    /// A stage begins.
    fn stage(&mut self, text: &str);
    /// A second has passed.
    fn second(&mut self, second: &Second);
    /// A step of a ramp is over.
    fn step(&mut self, step: &Step);
}

/// Why a run cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The virtual peers.
    #[error(transparent)]
    Forces(#[from] ForcesError),
    /// The server's metrics.
    #[error(transparent)]
    Server(#[from] ServerError),
}

struct Recorder<'a> {
    forces: &'a Forces,
    server: &'a Server,
    watch: &'a mut dyn Watch,
    began: Instant,
    clock: tokio::time::Interval,
    last: Option<Sample>,
    series: Vec<Second>,
    total: Measures,
}

/// One second, and what was measured in it.
struct Recorded {
    second: Second,
    measures: Measures,
}

/// Does all of it. The forces are sent home whatever happens; `stop` ends the run early and in good order.
pub async fn run(
    plan: &Plan,
    mut forces: Forces,
    server: &Server,
    watch: &mut dyn Watch,
    stop: impl Future<Output = ()>,
) -> Result<Outcome, RunError> {
    let began = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let machines = forces.machines();
    watch.stage(&format!("publishing {} cameras", plan.scenario.publishers));
    let published = forces.publish().await;
    let played = match published {
        Ok(()) => {
            let recorder = Recorder::new(&forces, server, watch).await;
            match recorder {
                Ok(recorder) => play(plan, recorder, stop).await,
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error.into()),
    };
    let ended = forces.end().await;
    let Played { seconds, measures, series, cost, steps } = played?;
    ended?;
    let verdicts = plan.scenario.objectives.iter().map(|objective| objective.judge(&measures)).collect();
    let scenario = plan.scenario.clone();
    Ok(Outcome { version: VERSION, scenario, began, seconds, machines, measures, series, cost, verdicts, steps })
}

struct Played {
    seconds: f64,
    measures: Measures,
    series: Vec<Second>,
    cost: Option<Cost>,
    steps: Vec<Step>,
}

async fn play(plan: &Plan, mut recorder: Recorder<'_>, stop: impl Future<Output = ()>) -> Result<Played, RunError> {
    let mut bill = Bill::default();
    let mut steps = Vec::new();
    {
        let playing = async {
            match &plan.ramp {
                None => recorder.hold(plan, &mut bill).await,
                Some(ramp) => recorder.climb(plan, *ramp, &mut bill, &mut steps).await,
            }
        };
        tokio::select! {
            played = playing => played?,
            () = stop => {}
        }
    }
    let seconds = recorder.began.elapsed().as_secs_f64();
    let cost = bill.cost(&plan.scenario);
    Ok(Played { seconds, measures: recorder.total, series: recorder.series, cost, steps })
}

impl<'a> Recorder<'a> {
    async fn new(forces: &'a Forces, server: &'a Server, watch: &'a mut dyn Watch) -> Result<Self, RunError> {
        // What was measured while cameras began is of no viewer.
        forces.take().await?;
        let last = server.sample().await?;
        let mut clock = tokio::time::interval(Duration::from_secs(1));
        clock.tick().await;
        let (series, total) = (Vec::new(), Measures::default());
        Ok(Self { forces, server, watch, began: Instant::now(), clock, last, series, total })
    }

    /// Waits for the end of the second and records it.
    async fn second(&mut self) -> Result<Recorded, RunError> {
        self.clock.tick().await;
        let tally = self.forces.take().await?;
        let sample = self.server.sample().await?;
        let used = sample.zip(self.last).map(|(now, before)| now.since(&before));
        self.last = sample;
        let measures = tally.measures;
        let ms = |spread: &crate::measure::Spread, percent| spread.percentile(percent).map(|us| us as f64 / 1000.0);
        let second = Second {
            at: self.began.elapsed().as_secs_f64(),
            viewers: tally.viewers,
            joining: tally.joining,
            joined: measures.joined,
            failed: measures.failures(),
            packets: measures.packets,
            bytes: measures.bytes,
            loss_percent: measures.loss_percent(),
            raw_loss_percent: measures.raw_loss_percent(),
            freezes: measures.freezes,
            transit_p50_ms: ms(&measures.transit, 50.0),
            transit_p99_ms: ms(&measures.transit, 99.0),
            first_p95_ms: ms(&measures.first_packet, 95.0),
            remb_p50_kbps: measures.remb_kbps.percentile(50.0).map(|kbps| kbps as f64),
            server: used,
        };
        self.watch.second(&second);
        self.series.push(second.clone());
        self.total.add(&measures);
        Ok(Recorded { second, measures })
    }

    /// A fixed number of viewers for the scenario's time.
    async fn hold(&mut self, plan: &Plan, bill: &mut Bill) -> Result<(), RunError> {
        let scenario = &plan.scenario;
        self.watch.stage(&format!("{} viewers join, {} a second", scenario.viewers, scenario.join_rate));
        bill.before(self.last);
        self.forces.watch(scenario.viewers, scenario.join_rate).await?;
        let mut is_full = false;
        while self.began.elapsed() < scenario.duration {
            let recorded = self.second().await?;
            let all_play = recorded.second.joining == 0 && recorded.second.viewers >= u64::from(scenario.viewers);
            if is_full {
                bill.steady(&recorded, self.last);
            } else {
                bill.joining(&recorded);
            }
            if all_play && !std::mem::replace(&mut is_full, true) {
                self.watch.stage("everybody watches");
                bill.full(self.last);
            }
        }
        Ok(())
    }

    /// Step by step, until an objective breaks or the ramp is at its end. Of a step, its joins count, and the media while
    /// everybody watches: what joining costs the others is a measure of runs that hold.
    async fn climb(&mut self, plan: &Plan, ramp: Ramp, bill: &mut Bill, steps: &mut Vec<Step>) -> Result<(), RunError> {
        let mut viewers = ramp.start;
        loop {
            let step = self.step(plan, ramp, viewers, bill).await?;
            self.watch.step(&step);
            let is_met = step.is_met;
            steps.push(step);
            if !is_met || viewers >= ramp.most {
                return Ok(());
            }
            viewers = (viewers + ramp.step).min(ramp.most);
        }
    }

    async fn step(&mut self, plan: &Plan, ramp: Ramp, viewers: u32, bill: &mut Bill) -> Result<Step, RunError> {
        self.watch.stage(&format!("{viewers} viewers"));
        self.forces.watch(viewers, plan.scenario.join_rate).await?;
        let joins = f64::from(viewers) / plan.scenario.join_rate;
        let deadline = Instant::now() + STEP_PATIENCE + Duration::from_secs_f64(joins);
        let mut joins = Measures::default();
        let mut is_full = false;
        while !is_full && Instant::now() < deadline {
            let recorded = self.second().await?;
            joins.add(&recorded.measures);
            is_full = recorded.second.joining == 0 && recorded.second.viewers >= u64::from(viewers);
        }
        for _ in 0..SETTLE {
            self.second().await?;
        }
        let mut measures = Measures::default();
        *bill = Bill::default();
        bill.full(self.last);
        let mut cores = Vec::new();
        let until = Instant::now() + ramp.hold;
        while Instant::now() < until {
            let recorded = self.second().await?;
            measures.add(&recorded.measures);
            bill.steady(&recorded, self.last);
            cores.extend(recorded.second.server.map(|server| server.shard_cores));
        }
        measures.add_joins(&joins);
        let verdicts: Vec<Verdict> =
            plan.scenario.objectives.iter().map(|objective| objective.judge(&measures)).collect();
        let is_met = is_full && verdicts.iter().all(|verdict| verdict.is_met);
        let shard_cores = (!cores.is_empty()).then(|| cores.iter().sum::<f64>() / cores.len() as f64);
        Ok(Step { viewers: u64::from(viewers), is_met, verdicts, shard_cores })
    }
}

/// What the server used, for the cost.
#[derive(Default)]
struct Bill {
    before: Option<Sample>,
    full: Option<Sample>,
    last: Option<Sample>,
    joins: u64,
    viewers: u64,
    bytes: u64,
    viewer_seconds: f64,
}

impl Bill {
    fn before(&mut self, sample: Option<Sample>) {
        self.before = sample;
    }

    fn joining(&mut self, recorded: &Recorded) {
        self.joins += recorded.measures.joined;
    }

    fn full(&mut self, sample: Option<Sample>) {
        self.full = sample;
    }

    fn steady(&mut self, recorded: &Recorded, sample: Option<Sample>) {
        self.last = sample;
        self.viewers = self.viewers.max(recorded.second.viewers);
        self.viewer_seconds += recorded.second.viewers as f64;
        self.bytes += recorded.measures.bytes;
    }

    fn cost(&self, scenario: &Scenario) -> Option<Cost> {
        let (full, last) = (self.full?, self.last?);
        let packets = last.packets_out - full.packets_out;
        if packets <= 0.0 || self.viewer_seconds <= 0.0 {
            return None;
        }
        let shard_us = last.shard_us - full.shard_us;
        let process_us = (last.process_us - full.process_us) / packets;
        let viewer_seconds = self.viewer_seconds;
        let joined = self.before.filter(|_| self.joins >= JOINS_FOR_COST);
        // What media cost meanwhile is taken off the joins' bill.
        let join_us = joined.map(|before| {
            let media = (full.packets_out - before.packets_out) * process_us;
            ((full.process_us - before.process_us - media) / self.joins as f64).max(0.0)
        });
        let viewer_bytes =
            self.before.map(|before| (last.memory - before.memory).max(0.0) / self.viewers.max(1) as f64);
        Some(Cost {
            profile: scenario.profile.to_string(),
            packet_us: shard_us / packets,
            viewer_us_per_second: shard_us / viewer_seconds,
            viewer_packets_per_second: packets / viewer_seconds,
            viewer_bits_per_second: self.bytes as f64 * 8.0 / viewer_seconds,
            camera_bits_per_second: scenario.profile.bits_per_second().unwrap_or_default(),
            join_us,
            viewer_bytes,
            viewers: self.viewers,
        })
    }
}
