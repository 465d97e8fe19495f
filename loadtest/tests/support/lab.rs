//! A network namespace for one thread and all that it starts, and loss in it. Needs root.

use anyhow::Context;
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;
use std::process::Command;

/// Does `work` on a thread whose network is its own, with loopback up; the network goes with the thread.
pub(crate) fn in_namespace<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).context("a network namespace; are you root?")?;
        run("ip link set lo up")?;
        work()
    });
    thread.join().map_err(|_| anyhow::anyhow!("the work in the namespace panicked"))?
}

/// Runs a command, its words split at spaces, and returns what it printed.
pub(crate) fn run(command: &str) -> anyhow::Result<String> {
    let mut words = command.split(' ');
    let output =
        Command::new(words.next().unwrap_or_default()).args(words).output().with_context(|| command.to_owned())?;
    anyhow::ensure!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Packets of a loss.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) all: f64,
    pub(crate) dropped: f64,
}

/// From now on so many in 1,000 packets to these UDP ports are lost, each by itself: trains are taken apart before.
pub(crate) fn lose(per_mille: u32, ports: &[u16]) -> anyhow::Result<()> {
    run("ethtool -K lo tx-udp-segmentation off gso off")?;
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let to = format!("udp dport {{{}}}", ports.join(","));
    run("nft add table inet lab")?;
    run("nft add chain inet lab in { type filter hook input priority 0; }")?;
    run(&format!("nft add rule inet lab in {to} counter"))?;
    run(&format!("nft add rule inet lab in {to} numgen random mod 1000 < {per_mille} counter drop")).map(drop)
}

/// No more.
pub(crate) fn lose_nothing() -> anyhow::Result<Counted> {
    let counted = counted()?;
    run("nft delete table inet lab")?;
    Ok(counted)
}

fn counted() -> anyhow::Result<Counted> {
    let listed: Value = serde_json::from_str(&run("nft -j list chain inet lab in")?)?;
    let items = listed["nftables"].as_array().context("no list")?;
    let expressions = items.iter().filter_map(|item| item["rule"]["expr"].as_array());
    let counters = expressions.flatten().filter_map(|expression| expression["counter"]["packets"].as_f64());
    let counters: Vec<f64> = counters.collect();
    let [all, dropped] = counters[..] else { anyhow::bail!("{} counters", counters.len()) };
    Ok(Counted { all, dropped })
}
