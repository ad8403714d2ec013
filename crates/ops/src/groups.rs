//! A step's pairs of tokens and experts, listed by expert, so that products read an
//! expert's matrix once for a tile of its tokens.

use wisp_base::Result;
use wisp_graph::{Bind, Cost, Link, Lower, Rows};

use crate::product::Matmul;

/// Words of a tile, `TILE_WORDS` of `shaders/lib/groups.wgsl`.
const TILE_WORDS: u32 = 3;

/// How the pairs of a plan are grouped. Workgroups have no order and no atomics, so tiles
/// have numbers that no other expert's can be: there are more than are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Groups {
    experts: u32,
    used: u32,
    /// Pairs a tile at most.
    pub(crate) tile: u32,
    /// Products are `matmul.wgsl`'s rather than `matvec.wgsl`'s.
    pub(crate) many: bool,
}

impl Groups {
    /// None where most experts have one token or none: then each pair reads its own matrix.
    pub(crate) fn of(lower: &Lower<'_>, experts: usize, used: usize) -> Option<Self> {
        let tokens = lower.rows(Rows::Tokens);
        let few = tokens == 1 || tokens.saturating_mul(used) <= experts;
        (!few).then(|| Self::any(lower, experts, used))
    }

    /// However few pairs there are.
    pub(crate) fn any(lower: &Lower<'_>, experts: usize, used: usize) -> Self {
        let pairs = lower.rows(Rows::Tokens).saturating_mul(used);
        let each = pairs.div_ceil(experts) as u32;
        // An expert's last tile is half full, one way or another: so there should be two.
        let half = each.div_ceil(2);
        let tuning = lower.target.tuning.matvec;
        let many = each > tuning.up_to;
        let tile = match many {
            true => Matmul::tile(lower, half, usize::MAX),
            false => half.next_power_of_two().min(tuning.tokens).max(2),
        };
        Self { experts: experts as u32, used: used as u32, tile, many }
    }

    /// Tiles of a step of so many tokens.
    pub(crate) fn tiles(&self, tokens: u32) -> u32 {
        tokens * self.used / self.tile + self.experts
    }

    /// Adds the dispatch that lists them, by the routes that are input 1, and gives the tiles.
    pub(crate) fn list(&self, lower: &mut Lower<'_>) -> Result<Link> {
        let (experts, used) = (self.experts, self.used);
        let most = lower.rows(Rows::Tokens) as u32;
        let tiles = self.tiles(most);
        let list = lower.temp(4 * u64::from(TILE_WORDS * tiles + most * used));
        let list = vec![("groups", Bind::Temp(list))];
        let kernel = lower
            .kernel("group")
            .set("THREADS", lower.target.tuning.reduce_threads.min(64))
            .set("TILE_T", self.tile)
            .set("TILES", tiles)
            .set("USED", used)
            .set("ROUTE_STRIDE", lower.input(1).stride() as u64);
        let mut binds = vec![("step", Bind::Step), ("routes", lower.bind_input(1))];
        binds.extend(&list);
        lower.dispatch(
            kernel,
            binds,
            move |_| [experts, 1, 1],
            move |c| {
                let pairs = u64::from(c.tokens * used);
                Cost { bytes: 8 * pairs, flops: 2 * pairs * u64::from(experts) }
            },
        );
        let mut link = Link::new("tile", "tile/grouped");
        link.kernel = link.kernel.set("TILES", tiles);
        link.binds = list;
        Ok(link)
    }

    /// How many experts have a token, of a step of so many, if each is as likely as the
    /// others.
    pub(crate) fn experts_with_tokens(&self, tokens: u32) -> f64 {
        let (experts, used) = (f64::from(self.experts), f64::from(self.used));
        experts * (1.0 - (1.0 - used / experts).powi(tokens as i32))
    }
}
