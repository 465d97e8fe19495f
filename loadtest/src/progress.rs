//! What a person sees while a run goes on: a live line in a terminal, plain lines elsewhere. All of it on standard error,
//! so that standard output holds results alone.

use crate::outcome::{Second, Step};
use crate::run::Watch;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// Outside a terminal one second in so many is told.
const PLAIN_EVERY: u64 = 5;

/// See the module.
pub struct Progress {
    bar: Option<ProgressBar>,
    seconds: u64,
}

impl Progress {
    /// Of a run of so many seconds; 0 where nobody knows.
    pub fn new(seconds: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let template =
                if seconds > 0 { "{spinner} {elapsed} [{wide_bar}] {msg}" } else { "{spinner} {elapsed} {wide_msg}" };
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(seconds).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, seconds: 0 }
    }

    #[allow(clippy::print_stderr)]
    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }
}

impl Watch for Progress {
    fn stage(&mut self, text: &str) {
        self.line(text);
    }

    fn second(&mut self, second: &Second) {
        self.seconds += 1;
        let text = line(second);
        match &self.bar {
            Some(bar) => {
                bar.set_position(second.at as u64);
                bar.set_message(text);
            }
            None if self.seconds.is_multiple_of(PLAIN_EVERY) => self.line(&format!("{:>5.0} s  {text}", second.at)),
            None => {}
        }
    }

    fn step(&mut self, step: &Step) {
        let verdict = step.why_missed().unwrap_or_else(|| "held".to_owned());
        let cores = step.shard_cores.map_or_else(String::new, |cores| format!(", {cores:.2} cores of shards"));
        self.line(&format!("{} viewers: {verdict}{cores}", step.viewers));
    }
}

fn line(second: &Second) -> String {
    let joining = if second.joining > 0 { format!(" (+{} joining)", second.joining) } else { String::new() };
    let failed = if second.failed > 0 { format!(", {} failed", second.failed) } else { String::new() };
    let transit = second.transit_p99_ms.map_or_else(String::new, |ms| format!(", transit p99 {ms:.1} ms"));
    let cores = second.server.map_or_else(String::new, |server| format!(", server {:.2} cores", server.cores));
    format!(
        "{} viewers{joining}{failed}, {:.1} Mbit/s, loss {:.3} %{transit}{cores}",
        second.viewers,
        second.bytes as f64 * 8.0 / 1e6,
        second.loss_percent
    )
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
