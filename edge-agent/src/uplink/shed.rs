//! Which encodings are sent over an uplink that does not carry all that are wanted.
//!
//! Sound first, then the smallest picture of each camera, then larger ones, in the cameras' order. A camera of which only
//! a larger picture is wanted has its smallest one sent in its place, so that its viewers see that.
//!
//! Invariants: what is sent stays while it fits; what is not begins only with a margin; no camera has a larger picture
//! while another has none; the first camera always has one.

/// What is sent may be so many times the limit: rates vary, and the limit is below what is carried.
const KEPT: f64 = 1.05;
/// What is not sent yet has to fit so many times.
const MARGIN: f64 = 1.05;
/// A probe is to show that so many times more is carried.
const PROBE_MARGIN: f64 = 1.08;
/// What a picture of which nothing came takes, in bit/s.
const USUAL: u64 = 500_000;

/// One encoding of a camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// In bit/s on the uplink; `None` where nothing comes from the camera.
    pub rate: Option<u64>,
    /// Somebody wants it.
    pub is_wanted: bool,
    /// It is being sent.
    pub is_sent: bool,
}

/// What is to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Division {
    /// By camera and encoding.
    pub sent: Vec<Vec<bool>>,
    /// What would have to be carried, in bit/s, for the next encoding; `None` where all is sent.
    pub goal: Option<u64>,
}

/// What has been given of the limit.
struct Ledger {
    limit: f64,
    total: f64,
    goal: Option<u64>,
}

impl Ledger {
    /// Takes `cost` of the limit, if that is left. What is not left for the first time is the next goal.
    fn take(&mut self, cost: f64, is_sent: bool) -> bool {
        let sum = self.total + cost;
        let fits = if is_sent { sum <= self.limit * KEPT } else { sum * MARGIN <= self.limit };
        if fits {
            self.total = sum;
        } else {
            self.goal.get_or_insert((sum * MARGIN * PROBE_MARGIN) as u64);
        }
        fits
    }
}

/// Divides `limit`, where there is one, between `sound` and the cameras, each with its encodings from small to large.
pub fn divide(limit: Option<u64>, sound: u64, cameras: &[Vec<Candidate>]) -> Division {
    let wanted = |camera: &Vec<Candidate>| camera.iter().map(|c| c.is_wanted).collect();
    let Some(limit) = limit else { return Division { sent: cameras.iter().map(wanted).collect(), goal: None } };
    let mut ledger = Ledger { limit: limit as f64, total: sound as f64, goal: None };
    let mut sent: Vec<Vec<bool>> = cameras.iter().map(|camera| vec![false; camera.len()]).collect();
    let bases: Vec<Option<usize>> = cameras.iter().map(|camera| base(camera)).collect();
    let mut has_first = false;
    for (at, base) in bases.iter().enumerate().filter_map(|(at, base)| Some((at, (*base)?))) {
        let is_sent = cameras[at].iter().any(|c| c.is_sent);
        let fits = ledger.take(cost(&cameras[at][base]), is_sent);
        if !fits && !has_first {
            ledger.total += cost(&cameras[at][base]);
        }
        sent[at][base] = fits || !has_first;
        has_first = true;
    }
    if ledger.goal.is_none() {
        add_larger(&mut ledger, cameras, &bases, &mut sent);
    }
    Division { sent, goal: ledger.goal }
}

/// Larger pictures, the next larger of each camera before others; of these, what is sent before what is not.
fn add_larger(ledger: &mut Ledger, cameras: &[Vec<Candidate>], bases: &[Option<usize>], sent: &mut [Vec<bool>]) {
    let larger = cameras.iter().enumerate().flat_map(|(at, camera)| {
        let above = bases[at].map_or(camera.len(), |base| base + 1);
        (above..camera.len()).filter(|size| camera[*size].is_wanted).map(move |size| (size, !camera[size].is_sent, at))
    });
    let mut larger: Vec<_> = larger.collect();
    larger.sort_unstable();
    for (size, _, at) in larger {
        let candidate = &cameras[at][size];
        // What stands in for it is sent no more.
        let stand_in = bases[at].filter(|base| sent[at][*base] && !cameras[at][*base].is_wanted);
        let saved = stand_in.map_or(0.0, |base| cost(&cameras[at][base]));
        if ledger.take(cost(candidate) - saved, candidate.is_sent) {
            sent[at][size] = true;
            if let Some(base) = stand_in {
                sent[at][base] = false;
            }
        }
    }
}

/// The smallest picture that serves those who want one: of those that come, else the smallest that is wanted.
fn base(camera: &[Candidate]) -> Option<usize> {
    let wanted = camera.iter().position(|c| c.is_wanted)?;
    Some(camera[..wanted].iter().position(|c| c.rate.is_some()).unwrap_or(wanted))
}

fn cost(candidate: &Candidate) -> f64 {
    candidate.rate.unwrap_or(USUAL) as f64
}
