//! Where fleets are: in this process, or on other machines that run `loadtest agent`.

use crate::agent;
use crate::api::Api;
use crate::engine::Network;
use crate::fleet::{Fleet, FleetError, Tally};
use crate::scenario::Scenario;
use futures_util::future::try_join_all;

/// Fleets of a run, on one machine or several.
pub enum Forces {
    /// Here.
    Here(Box<Fleet>),
    /// On these agents.
    Agents(Vec<agent::Remote>),
}

/// Why forces do not do what they are to.
#[derive(Debug, thiserror::Error)]
pub enum ForcesError {
    /// The fleet here.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// An agent.
    #[error(transparent)]
    Agent(#[from] agent::RemoteError),
}

impl Forces {
    /// The whole of a scenario in this process.
    pub fn here(api: Api, scenario: &Scenario, network: Network) -> Result<Self, ForcesError> {
        let share = crate::fleet::Share::deal(scenario, 1).remove(0);
        Ok(Self::Here(Box::new(Fleet::new(api, share, network)?)))
    }

    /// Publishes all cameras.
    pub async fn publish(&mut self) -> Result<(), ForcesError> {
        match self {
            Self::Here(fleet) => fleet.publish().await?,
            Self::Agents(agents) => {
                try_join_all(agents.iter().map(agent::Remote::publish)).await?;
            }
        }
        Ok(())
    }

    /// So many viewers are to be there, joining at this rate.
    pub async fn watch(&self, viewers: u32, rate: f64) -> Result<(), ForcesError> {
        match self {
            Self::Here(fleet) => fleet.watch(viewers as usize, rate),
            Self::Agents(agents) => {
                let count = agents.len() as u32;
                let shares = agents.iter().zip(0..).map(|(agent, n)| {
                    let viewers = viewers / count + u32::from(n < viewers % count);
                    agent.watch(viewers, rate / f64::from(count))
                });
                try_join_all(shares).await?;
            }
        }
        Ok(())
    }

    /// How all are, and what they measured since they were asked last.
    pub async fn take(&self) -> Result<Tally, ForcesError> {
        match self {
            Self::Here(fleet) => Ok(fleet.take().await?),
            Self::Agents(agents) => {
                let mut all = Tally::default();
                for tally in try_join_all(agents.iter().map(agent::Remote::take)).await? {
                    all.viewers += tally.viewers;
                    all.joining += tally.joining;
                    all.measures.add(&tally.measures);
                }
                Ok(all)
            }
        }
    }

    /// Everybody leaves.
    pub async fn end(self) -> Result<(), ForcesError> {
        match self {
            Self::Here(fleet) => fleet.end().await,
            Self::Agents(agents) => {
                try_join_all(agents.iter().map(agent::Remote::end)).await?;
            }
        }
        Ok(())
    }

    /// The cores of each machine that viewers run on.
    pub fn machines(&self) -> Vec<usize> {
        match self {
            Self::Here(_) => vec![std::thread::available_parallelism().map_or(1, usize::from)],
            Self::Agents(agents) => agents.iter().map(agent::Remote::cores).collect(),
        }
    }
}
