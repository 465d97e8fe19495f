//! Several agents do a run together, and what they measure is one outcome.

mod support;

use cluster::listen::Config;
use loadtest::agent::{self, Beginning, Remote};
use loadtest::fleet::Share;
use loadtest::forces::Forces;
use loadtest::outcome::{Second, Step};
use loadtest::run::{self, Plan, Watch};
use loadtest::scenario::Scenario;
use loadtest::slo;
use std::time::Duration;
use support::{Target, wait_for_connections};
use url::Url;

struct Silent;

impl Watch for Silent {
    fn stage(&mut self, _: &str) {}
    fn second(&mut self, _: &Second) {}
    fn step(&mut self, _: &Step) {}
}

/// An agent in this process; it ends when the sender goes.
fn agent(key: Vec<u8>) -> anyhow::Result<(Url, tokio::sync::oneshot::Sender<()>)> {
    let listener = agent::listener(&Config::plain("127.0.0.1:0".parse()?))?;
    let url = listener.url().parse()?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(agent::serve(listener, key, None, async {
        let _ = stopped.await;
    }));
    Ok((url, stop))
}

#[test]
fn two_agents_share_cameras_and_viewers_and_their_measures_add_up() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let work = async {
        let target = Target::with(&["--shards", "1", "--media-bind", "127.0.0.1", "--advertise", "127.0.0.1"])?;
        let scenario = Scenario {
            publishers: 3,
            viewers: 11,
            join_rate: 20.0,
            duration: Duration::from_secs(5),
            objectives: slo::parse("loss<0.1%,failed<0.1%,first_p95<5s,show_p95<1s")?,
            ..Scenario::default()
        };
        let (mut agents, mut stops) = (Vec::new(), Vec::new());
        for share in Share::deal(&scenario, 2) {
            let (url, stop) = agent(target.key().to_vec())?;
            let beginning = Beginning { server: target.signaling.clone(), run: 7, share };
            agents.push(Remote::meet(url, None, beginning).await?);
            stops.push(stop);
        }
        let plan = Plan { scenario, ramp: None };
        let server = target.server()?;
        let forces = Forces::Agents(agents);
        let outcome = run::run(&plan, forces, &server, &mut Silent, std::future::pending()).await?;
        assert_eq!((outcome.measures.joins, outcome.measures.joined), (11, 11), "{:?}", outcome.measures.failed);
        assert_eq!(outcome.measures.first_keyframe.count(), 11);
        assert_eq!(outcome.machines.len(), 2);
        assert_eq!(outcome.series.iter().map(|second| second.viewers).max(), Some(11));
        let met: Vec<bool> = outcome.verdicts.iter().map(|verdict| verdict.is_met).collect();
        assert_eq!(met, [true, true, true, false], "nobody switched, so nothing was shown by a switch");
        assert!(outcome.cost.is_some_and(|cost| cost.packet_us > 0.0));
        // Everybody has left.
        wait_for_connections(&target, 0.0).await
    };
    runtime.block_on(work).expect("the run goes through");
}
