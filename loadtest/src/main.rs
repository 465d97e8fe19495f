//! `loadtest`: see the crate.

use clap::Parser;
use loadtest::api::{Api, http_client};
use loadtest::arguments::{AgentArguments, Arguments, Command, RelayArguments, Run, read_key};
use loadtest::fleet::Share;
use loadtest::forces::Forces;
use loadtest::outcome::Outcome;
use loadtest::progress::Progress;
use loadtest::relay::{Passed, Relay};
use loadtest::server::Server;
use loadtest::{agent, engine, report, run};
use protocol::grant::{LOADTEST_ISSUER, Signer};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn,rtc_dtls=error".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match Arguments::parse().command {
        Command::Run(arguments) => Box::pin(load(&arguments)).await,
        Command::Agent(arguments) => Box::pin(serve(&arguments)).await,
        Command::Plan(arguments) => print(&loadtest::plan::run(&arguments)?),
        Command::Relay(arguments) => relay(&arguments).await,
        Command::Key(key) => {
            key.make()?;
            print(&format!(
                "{} signs grants; servers that are to trust it read {}",
                key.out.display(),
                key.jwks.display()
            ))
        }
    }
}

#[allow(clippy::print_stdout)]
#[allow(clippy::unnecessary_wraps)]
fn print(text: &str) -> anyhow::Result<ExitCode> {
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

async fn load(arguments: &Run) -> anyhow::Result<ExitCode> {
    let plan = arguments.plan()?;
    engine::raise_descriptor_limit()?;
    let run = rand();
    let forces = match &arguments.grant_key {
        Some(key) if arguments.agents.is_empty() => {
            let signer = Signer::new(LOADTEST_ISSUER, &read_key(key)?)?;
            let server = arguments.server.clone();
            let api = Api::new(server, arguments.ca.as_deref(), signer, run, plan.scenario.duration)?;
            Forces::here(api, &plan.scenario, arguments.network())?
        }
        _ => meet(arguments, &plan, run).await?,
    };
    let server = Server::new(http_client(arguments.ca.as_deref())?, arguments.metrics.clone());
    let seconds = if plan.ramp.is_some() { 0 } else { plan.scenario.duration.as_secs() };
    let mut progress = Progress::new(seconds);
    let outcome = run::run(&plan, forces, &server, &mut progress, stopped()?).await?;
    drop(progress);
    report::write(&outcome, arguments.report.as_deref(), arguments.html.as_deref())?;
    print(&report::summary(&outcome))?;
    Ok(verdict(&outcome))
}

/// A run whose objectives were missed ends with 1; a ramp finds where they break, so it succeeds with its first step.
fn verdict(outcome: &Outcome) -> ExitCode {
    let is_met = match outcome.steps.first() {
        Some(first) => first.is_met,
        None => outcome.verdicts.iter().all(|verdict| verdict.is_met),
    };
    if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn meet(arguments: &Run, plan: &run::Plan, run: u32) -> anyhow::Result<Forces> {
    let shares = Share::deal(&plan.scenario, arguments.agents.len() as u32);
    let identity = arguments.identity();
    let mut agents = Vec::new();
    for (url, share) in arguments.agents.iter().zip(shares) {
        let beginning = agent::Beginning { server: arguments.server.clone(), run, share };
        agents.push(agent::Remote::meet(url.clone(), identity.as_ref(), beginning).await?);
    }
    Ok(Forces::Agents(agents))
}

async fn serve(arguments: &AgentArguments) -> anyhow::Result<ExitCode> {
    engine::raise_descriptor_limit()?;
    let key = read_key(&arguments.grant_key)?;
    let listener = agent::listener(&arguments.config())?;
    print(&format!("agent {}", listener.url()))?;
    agent::serve(listener, key, arguments.ca.clone(), stopped()?).await?;
    Ok(ExitCode::SUCCESS)
}

async fn relay(arguments: &RelayArguments) -> anyhow::Result<ExitCode> {
    let relay = Relay::start(arguments.listen, arguments.to, arguments.impairment()?)?;
    print(&format!("relay {}", relay.address()))?;
    stopped()?.await;
    let Passed { up, down } = relay.end();
    print(&format!("up   {up}\ndown {down}"))
}

/// Ends with the first signal to stop.
fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// A run's number.
fn rand() -> u32 {
    (uuid::Uuid::new_v4().as_u128() & 0xffff_ffff) as u32
}
