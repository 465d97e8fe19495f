//! Networks do to datagrams what their files say, the same each time.

use loadtest::impairment::{Conditions, Fate, Impairment, Step};
use std::path::Path;
use std::time::Duration;

/// A datagram that takes 1,000 bytes of a link, IPv4 and UDP headers counted.
const DATAGRAM: usize = 1000 - 28;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn down(steps: impl IntoIterator<Item = (u64, Conditions)>) -> Impairment {
    let step = |(at, conditions)| Step { at: ms(at), up: None, down: Some(conditions) };
    Impairment { steps: steps.into_iter().map(step).collect(), ..Impairment::default() }
}

fn rate(rate: f64) -> Conditions {
    Conditions { rate: Some(rate), ..Conditions::default() }
}

/// Whether each of so many datagrams, one a millisecond, is lost.
fn losses(network: &Impairment, datagrams: u64) -> Vec<bool> {
    let mut link = network.line(0).down;
    (0..datagrams).map(|at| link.pass(ms(at), DATAGRAM) == Fate::Lost).collect()
}

#[test]
fn a_rate_makes_datagrams_wait_and_its_queue_ends() {
    let mut link = down([(0, Conditions { queue_kib: 4, delay: ms(20), ..rate(8e5) })]).line(0).down;
    let fates: Vec<Fate> = (0..6).map(|_| link.pass(ms(0), DATAGRAM)).collect();
    let arrives = |at| Fate::Arrives(ms(at));
    assert_eq!(fates, [arrives(30), arrives(40), arrives(50), arrives(60), Fate::Dropped, Fate::Dropped]);
    assert_eq!(link.pass(ms(25), DATAGRAM), arrives(70), "two have left the queue");
    let traffic = link.traffic();
    assert_eq!((traffic.came, traffic.dropped, traffic.longest_wait), (7, 2, ms(30)));
}

#[test]
fn what_waits_leaves_at_the_rate_of_its_time() {
    let mut link = down([(0, rate(8e6)), (10, rate(8e5)), (40, rate(8e6))]).line(0).down;
    let last = (0..20).map(|_| link.pass(ms(0), DATAGRAM)).last();
    // 10 in the first 10 ms, 3 in the next 30, the other 7 in 7.
    assert_eq!(last, Some(Fate::Arrives(ms(47))));
}

#[test]
fn one_direction_goes_on_as_before_when_the_other_changes() {
    let mut network = down([(0, Conditions { delay: ms(5), ..Conditions::default() })]);
    network.steps.push(Step { at: ms(100), up: Some(Conditions::default()), down: None });
    let mut line = network.line(0);
    assert_eq!(line.down.pass(ms(200), DATAGRAM), Fate::Arrives(ms(205)));
    assert_eq!(line.up.pass(ms(200), DATAGRAM), Fate::Arrives(ms(200)));
}

#[test]
fn jitter_overtakes_nothing() {
    let mut link = down([(0, Conditions { delay: ms(10), jitter: ms(50), ..Conditions::default() })]).line(0).down;
    let arrivals: Vec<Duration> = (0..1000)
        .map(|at| match link.pass(ms(at), DATAGRAM) {
            Fate::Arrives(arrival) => arrival,
            fate => panic!("{fate:?}"),
        })
        .collect();
    assert!(arrivals.is_sorted());
    let extra = arrivals.iter().zip(0..).map(|(arrival, at)| *arrival - ms(at)).max();
    assert!(extra.is_some_and(|extra| extra > ms(40) && extra <= ms(60)), "{extra:?}");
}

#[test]
fn so_much_is_lost_as_is_said_and_in_bursts_of_that_length() {
    for (loss_percent, burst) in [(5.0, None), (5.0, Some(8.0)), (1.0, Some(4.0))] {
        let network = down([(0, Conditions { loss_percent, burst, ..Conditions::default() })]);
        let lost = losses(&network, 400_000);
        let share = 100.0 * lost.iter().filter(|lost| **lost).count() as f64 / lost.len() as f64;
        assert!((share / loss_percent - 1.0).abs() < 0.06, "{share} % of {loss_percent} %");
        let bursts = lost.windows(2).filter(|pair| pair[1] && !pair[0]).count();
        let mean = lost.iter().filter(|lost| **lost).count() as f64 / bursts as f64;
        let expected = burst.unwrap_or(1.0 / (1.0 - loss_percent / 100.0));
        assert!((mean / expected - 1.0).abs() < 0.06, "{mean} in a row, {expected} expected");
    }
}

#[test]
fn chance_is_the_seeds_and_each_client_has_its_own() {
    let network = down([(0, Conditions { loss_percent: 10.0, ..Conditions::default() })]);
    assert_eq!(losses(&network, 1000), losses(&network, 1000));
    assert_ne!(losses(&network, 1000), losses(&Impairment { seed: 1, ..network.clone() }, 1000));
    let mut lines = [network.line(0), network.line(1)];
    let [one, other] = lines.each_mut().map(|line| (0..1000).map(|at| line.down.pass(ms(at), 1)).collect::<Vec<_>>());
    assert_ne!(one, other);
}

#[test]
fn an_outage_lets_nothing_through_until_it_ends() {
    let outage = Conditions { loss_percent: 100.0, burst: Some(2.0), ..Conditions::default() };
    let network = down([(0, outage), (50, Conditions::default())]);
    assert_eq!(losses(&network, 100), [[true; 50], [false; 50]].concat());
}

#[test]
fn the_networks_that_come_along_are_good() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("networks");
    let files = std::fs::read_dir(folder).expect("the folder is there");
    let networks: Vec<Impairment> = files
        .map(|file| settings::load(&file.expect("an entry").path()).unwrap_or_else(|error| panic!("{error}")))
        .collect();
    assert!(networks.len() >= 5);
    for network in networks {
        network.check().unwrap_or_else(|error| panic!("{}: {error}", network.name));
        assert!(!network.steps.is_empty() && !network.name.is_empty());
    }
}

#[test]
fn what_is_wrong_with_a_network_is_said() {
    let read = |steps: &str| match settings::from_yaml::<Impairment>(&format!("steps: [{steps}]")) {
        Ok(network) => network.check().map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    assert_eq!(read("{at: 0s, down: {rate: 1500000}}"), Ok(()));
    let cases = [
        ("{down: {rate: fast}}", "'fast' is no rate: write 600k or 10M"),
        ("{down: {rate: 1}}", "steps[0].rate: at least 1k; for an outage write loss_percent: 100"),
        ("{at: 5s}, {at: 5s}", "steps[1].at: must be later than the step before"),
        ("{up: {loss_percent: 101}}", "steps[0].loss_percent: from 0 to 100"),
        ("{up: {loss_percent: 80, burst: 2}}", "steps[0].burst: at least 1, and long enough for so much loss"),
        ("{up: {queue_kib: 0}}", "steps[0].queue_kib: from 2 to 16,384"),
        ("{up: {delay: 1h}}", "steps[0].delay: 10s at most"),
        ("{up: {latency: 1s}}", "latency"),
    ];
    for (steps, expected) in cases {
        let said = read(steps).expect_err(steps);
        assert!(said.contains(expected), "{steps}: {said}");
    }
}
