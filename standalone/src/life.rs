//! How a process of services begins and ends. Invariant: from the first line on that it prints, whoever asks it to end is
//! heard, and its services end by themselves.

use cluster::Directory;
use protocol::node::NodeRecord;
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

/// What asks the process to end.
pub(crate) struct Ends {
    term: Signal,
    interrupt: Signal,
    input: Option<oneshot::Receiver<()>>,
}

impl Ends {
    /// SIGTERM and SIGINT, from now on.
    pub(crate) fn signals() -> io::Result<Self> {
        let (term, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { term, interrupt, input: None })
    }

    /// The end of standard input too.
    pub(crate) fn or_input(mut self) -> io::Result<Self> {
        let (over, input) = oneshot::channel();
        // Not the runtime's: it would wait for the read at its end.
        std::thread::Builder::new().name("stdin".into()).spawn(move || {
            // An input that fails has ended too; nobody listens once the process ends for another reason.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            let _ = over.send(());
        })?;
        self.input = Some(input);
        Ok(self)
    }

    /// Sets `stop` at the first of them; the services end by themselves then.
    pub(crate) async fn stop(mut self, stop: watch::Sender<bool>) -> anyhow::Result<()> {
        let input = async {
            match self.input {
                Some(input) => drop(input.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
            () = input => {}
        }
        stop.send_replace(true);
        std::future::pending().await
    }
}

/// Ready once the services are to end.
pub(crate) async fn when(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, and so that the process ends.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// A node, as soon as a viewer could be placed.
pub(crate) async fn first_node(directory: &dyn Directory) -> Result<NodeRecord, cluster::Error> {
    loop {
        if let Some(node) = directory.nodes().await?.into_iter().next() {
            return Ok(node);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
