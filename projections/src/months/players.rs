//! High rollers: whose losses make a month below zero, and what is carried against them alone.

use std::collections::{BTreeMap, BTreeSet};

use super::Player;

/// What each player has earned a partner in a month.
#[derive(Clone, Debug, Default)]
pub(super) struct Players {
    by_name: BTreeMap<Box<str>, OfPlayer>,
    /// Those below zero, the largest loss first.
    losers: BTreeSet<(i128, Box<str>)>,
    /// What makes a high roller, by the terms of the month's lines: the least counts.
    from_minor: BTreeMap<i64, u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct OfPlayer {
    minor: i128,
    lines: u32,
}

impl Players {
    /// Adds a line.
    pub(super) fn add(&mut self, player: &Player, minor: i64) {
        let count = self.from_minor.entry(player.from_minor).or_default();
        *count = count.saturating_add(1);
        self.change(player, |of| {
            of.minor = of.minor.saturating_add(i128::from(minor));
            of.lines = of.lines.saturating_add(1);
        });
    }

    /// Takes a line out.
    pub(super) fn remove(&mut self, player: &Player, minor: i64) {
        if let Some(count) = self.from_minor.get_mut(&player.from_minor) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.from_minor.remove(&player.from_minor);
            }
        }
        self.change(player, |of| {
            of.minor = of.minor.saturating_sub(i128::from(minor));
            of.lines = of.lines.saturating_sub(1);
        });
    }

    fn change(&mut self, player: &Player, change: impl FnOnce(&mut OfPlayer)) {
        let Some(name) = &player.name else { return };
        let of = self.by_name.entry(name.clone()).or_default();
        if of.minor < 0 {
            self.losers.remove(&(of.minor, name.clone()));
        }
        change(of);
        if of.minor < 0 {
            self.losers.insert((of.minor, name.clone()));
        }
        if of.lines == 0 {
            self.by_name.remove(name);
        }
    }

    /// What a player has earned.
    fn earned(&self, name: &str) -> i128 {
        self.by_name.get(name).map_or(0, |of| of.minor)
    }

    /// The high rollers, with their losses: the largest loss first, then by name.
    fn high_rollers(&self) -> impl Iterator<Item = (&str, i128)> + Clone {
        let from = self.from_minor.keys().next();
        let from = from.map_or(i128::MAX, |&from| i128::from(from.max(1)));
        let losers = self.losers.iter();
        losers
            .map(|(minor, name)| (name.as_ref(), minor.saturating_neg()))
            .take_while(move |&(_, loss)| loss >= from)
    }
}

/// What is carried against players.
#[derive(Debug, Default)]
pub(super) struct Debts(BTreeMap<Box<str>, i128>);

impl Debts {
    /// Works off what players owe with what they have earned in a month; how much that is.
    pub(super) fn work_off(&mut self, players: &Players) -> i128 {
        let mut sum = 0_i128;
        for (name, debt) in &mut self.0 {
            let worked_off = players.earned(name).clamp(0, *debt);
            *debt = debt.saturating_sub(worked_off);
            sum = sum.saturating_add(worked_off);
        }
        self.0.retain(|_, debt| *debt != 0);
        sum
    }

    /// Carries what a month lacks against its high rollers, in proportion to their losses and no more
    /// than they lost.
    pub(super) fn carry(&mut self, lacking: i128, players: &Players) {
        let losses = players.high_rollers().map(|(_, loss)| loss);
        let all = losses.fold(0, i128::saturating_add);
        let carried = lacking.min(all);
        // Cut where the running share falls, so that the parts add up.
        let (mut so_far, mut cut) = (0_i128, 0_i128);
        for (name, loss) in players.high_rollers() {
            so_far = so_far.saturating_add(loss);
            let until = share(carried, so_far, all);
            let part = until.saturating_sub(cut);
            cut = until;
            if part != 0 {
                let debt = self.0.entry(name.into()).or_insert(0);
                *debt = debt.saturating_add(part);
            }
        }
    }
}

/// `amount` × `part` / `whole`, rounded down.
fn share(amount: i128, part: i128, whole: i128) -> i128 {
    if let Some(product) = amount.checked_mul(part) {
        return product.checked_div(whole).unwrap_or(0);
    }
    let product = num_bigint::BigInt::from(amount).checked_mul(&num_bigint::BigInt::from(part));
    let share = product.and_then(|it| it.checked_div(&num_bigint::BigInt::from(whole)));
    share
        .and_then(|share| i128::try_from(share).ok())
        .unwrap_or(amount)
}
