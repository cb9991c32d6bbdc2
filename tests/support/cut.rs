//! How an input is cut into reads, and in which of the possible ways a driver goes about it.

use super::wire::Script;

/// How what is read is told to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    Bytes,
    OwnBuffer,
    /// A buffer that did not come from the connection, after one that did was lost.
    ForeignBuffer,
}

/// How what is written is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    All,
    ByteByByte,
    Taken,
    TakenInHalves,
}

/// Whether the driver asks again after each call of an application, or when they have all come to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    AfterEachCall,
    AtRest,
}

#[derive(Clone, Debug)]
pub struct Cut {
    pub name: String,
    /// Offsets into the input, ascending, at which a read ends.
    pub at: Vec<usize>,
    pub feed: Feed,
    pub write: Write,
    pub ask: Ask,
    /// Go on with a clone of the connection after each read.
    pub clones: bool,
}

impl Cut {
    pub fn new(name: impl Into<String>, at: Vec<usize>, way: usize) -> Self {
        Self {
            name: name.into(),
            at,
            feed: [Feed::Bytes, Feed::OwnBuffer, Feed::ForeignBuffer][way % 3],
            write: [Write::All, Write::ByteByByte, Write::Taken, Write::TakenInHalves][way / 3 % 4],
            ask: [Ask::AfterEachCall, Ask::AtRest][way / 12 % 2],
            clones: way / 24 % 4 == 3,
        }
    }

    pub fn whole() -> Self {
        Self::new("whole", Vec::new(), 0)
    }

    /// Whether it is tried that `Wait` repeats itself: not at every single cut, which would cost more than it tells.
    pub fn asks_twice(&self) -> bool {
        self.at.len() != 1
    }

    /// How many bytes a read may take from this offset on.
    pub fn until_next(&self, offset: usize) -> usize {
        let next = self.at.partition_point(|&at| at <= offset);
        self.at.get(next).map_or(usize::MAX, |at| at - offset)
    }
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:?}, {:?}, {:?}", self.name, self.feed, self.write, self.ask)?;
        f.write_str(if self.clones { ", cloned)" } else { ")" })
    }
}

/// Up to here every single cut is tried.
const SHORT: usize = 600;
/// How many single cuts are tried in longer inputs, besides those at the edges.
const SAMPLES: usize = 24;
/// How many cuts at edges are tried in longer inputs.
const MOST_EDGES: usize = 96;
/// Fixed, so that a failure is seen again.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Whole in all ways, byte by byte, once at each place, and 32 times at random places.
pub fn all(script: &Script) -> Vec<Cut> {
    let length = script.input.len();
    let mut cuts: Vec<Cut> = (0..24).map(|way| Cut::new("whole", Vec::new(), way * 4 + way / 6)).collect();
    if length > 1 {
        let ways = if length <= SHORT { &[0, 13, 7, 22][..] } else { &[1][..] };
        cuts.extend(ways.iter().map(|&way| Cut::new("byte by byte", (1..length).collect(), way)));
        let places = places(script, length);
        cuts.extend(places.into_iter().map(|at| Cut::new(format!("cut at {at}"), vec![at], at * 7)));
        cuts.extend(random(length));
    }
    cuts
}

fn places(script: &Script, length: usize) -> Vec<usize> {
    if length <= SHORT {
        return (1..length).collect();
    }
    let mut edges: Vec<usize> =
        script.edges.iter().flat_map(|&edge| edge.saturating_sub(2)..=edge.saturating_add(2)).collect();
    edges.sort_unstable();
    edges.dedup();
    if edges.len() > MOST_EDGES {
        // The first and the last are where heads and limits are; of the others each n-th.
        let keep = MOST_EDGES / 3;
        let middle = edges.len() - 2 * keep;
        let step = middle.div_ceil(keep);
        edges = (0..edges.len())
            .filter(|&at| at < keep || at >= keep + middle || (at - keep).is_multiple_of(step))
            .map(|at| edges[at])
            .collect();
    }
    edges.extend((1..=SAMPLES).map(|sample| sample * length / (SAMPLES + 1)));
    edges.retain(|&at| at > 0 && at < length);
    edges.sort_unstable();
    edges.dedup();
    edges
}

fn random(length: usize) -> impl Iterator<Item = Cut> {
    let mut state = SEED ^ length as u64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % below
    };
    (0..32).map(move |number| {
        let count = 2 + next(1 + length.min(1 << (1 + number % 5)));
        let mut at: Vec<usize> = (0..count).map(|_| 1 + next(length - 1)).collect();
        at.sort_unstable();
        at.dedup();
        Cut::new(format!("random cut {number} at {at:?}"), at, number * 5)
    })
}
