//! What accounts would earn: under the pay rule, under what it is held against, and when they cheat.

use std::path::Path;

use attribution::{
    estimate::{IndexBuilder, IndexConfig, RowSource, attributor::Gradients},
    evaluate::{Clamp, Pay, PayRule, bootstrap, pay, spearman},
    settle::{EarnerIndex, keccak},
};

use crate::{
    Failure,
    methods::{CLIP_SHARE, PAID_DIM, projector},
    sheet::{Row, Sheet, Target},
    task::{Part, Task},
};

/// Contributors' share of a call, gwei: half of a fee of 0.002 OPEN.
const POOL: u64 = 1_000_000;
const NET: PayRule = PayRule { pool: POOL, max_credits: 32, clamp: Clamp::Net };
const EVERY_CALL: PayRule = PayRule { clamp: Clamp::EveryCall, ..NET };
const RESAMPLES: usize = 500;

/// Exact scores of every row in every call, and whose the rows are.
struct Calls {
    /// `(calls, rows)`.
    scores: Vec<Vec<i64>>,
    /// Rows that are not copies of earlier ones.
    canonical: Vec<bool>,
    owners: Vec<usize>,
    accounts: usize,
}

impl Calls {
    /// An index of these rows, asked by every query.
    fn new(task: &Task, part: &Part, damping: f64) -> Result<Self, Failure> {
        let rows = part.gradients("rows", &task.about)?;
        let owners = part.places("owners")?;
        let clusters = part.places("clusters").unwrap_or_else(|_| (0..rows.len()).collect());
        Self::of(&rows, &part.gradients("queries", &task.about)?, owners, &clusters, damping)
    }

    fn of(
        rows: &Gradients,
        queries: &Gradients,
        owners: Vec<usize>,
        clusters: &[usize],
        damping: f64,
    ) -> Result<Self, Failure> {
        let config = IndexConfig { damping, clip_share: CLIP_SHARE, ..IndexConfig::default() };
        let layout = rows.layout();
        // Directions are learned from rows that are not copies.
        let firsts = rows.rows().zip(clusters).enumerate().filter(|(place, (_, c))| place == *c);
        let firsts = firsts.flat_map(|(_, (row, _))| row).copied().collect();
        let learned = Gradients::new(layout.clone(), firsts)?.projector(projector(PAID_DIM))?;
        let mut builder = IndexBuilder::new(learned, config)?;
        for (place, row) in rows.rows().enumerate() {
            let source = RowSource {
                datanet: 0,
                index: place as u64,
                hash: keccak(&[&place.to_be_bytes()]),
                earner: EarnerIndex(u32::try_from(owners[place])? + 1),
                cluster: u32::try_from(clusters[place])?,
            };
            builder.push(source, &layout.split(row)?)?;
        }
        let (index, _) = builder.finish(|_| {})?;
        let scores = queries.rows().map(|query| {
            let query = index.query(&layout.split(query)?)?;
            Ok(index.score_rows(&query)?.into_iter().map(i64::from).collect())
        });
        let canonical = clusters.iter().enumerate().map(|(place, first)| place == *first).collect();
        let accounts = owners.iter().max().map_or(0, |last| last + 1);
        Ok(Self { scores: scores.collect::<Result<_, Failure>>()?, canonical, owners, accounts })
    }

    /// `S_c` of every call: the sum over an account's canonical rows, as `q . T_c` is.
    fn contributors(&self, owners: &[usize], accounts: usize) -> (Vec<Vec<i64>>, Vec<u32>) {
        let mut accepted = vec![0; accounts];
        for (&owner, &canonical) in owners.iter().zip(&self.canonical) {
            accepted[owner] += u32::from(canonical);
        }
        let of_call = |scores: &Vec<i64>| {
            let mut sums = vec![0; accounts];
            for ((&owner, &canonical), score) in owners.iter().zip(&self.canonical).zip(scores) {
                sums[owner] += score * i64::from(canonical);
            }
            sums
        };
        (self.scores.iter().map(of_call).collect(), accepted)
    }

    fn pay(&self, owners: &[usize], accounts: usize, rule: PayRule) -> Result<Pay, Failure> {
        let (calls, accepted) = self.contributors(owners, accounts);
        Ok(pay(&calls, &accepted, rule)?)
    }

    fn honest(&self, rule: PayRule) -> Result<Pay, Failure> {
        self.pay(&self.owners, self.accounts, rule)
    }

    /// Gwei of all calls' pools.
    fn pools(&self) -> f64 {
        POOL as f64 * self.scores.len() as f64
    }
}

/// All figures about pay that the task's folder has the retrainings for.
pub(crate) fn measure(
    task: &Task,
    folder: &Path,
    damping: f64,
    sheet: &mut Sheet,
) -> Result<(), Failure> {
    let part = Part::read(folder, "spread")?;
    let spread = Calls::new(task, &part, damping)?;
    let flags: Vec<bool> = part.places("flags")?.into_iter().map(|flag| flag == 1).collect();
    spoilt_rows(task, &spread, &flags, sheet)?;
    splitting(task, &spread, sheet)?;
    hiding(task, &spread, sheet)?;
    if let Ok(part) = Part::read(folder, "account") {
        let calls = Calls::new(task, &part, damping)?;
        spoilt_account(task, &calls, &part, sheet)?;
        left_out(task, &calls, &part, sheet)?;
    }
    if let Ok(part) = Part::read(folder, "copies") {
        copying(task, &Calls::new(task, &part, damping)?, &part, damping, sheet)?;
    }
    Ok(())
}

fn part_of(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { 100.0 * part / whole } else { 0.0 }
}

/// What spoilt rows bring: to the honest accounts that have them, and if each row were an account.
fn spoilt_rows(
    task: &Task,
    calls: &Calls,
    flags: &[bool],
    sheet: &mut Sheet,
) -> Result<(), Failure> {
    let name = &task.about.task;
    for (rule, how, target) in
        [(NET, "net", Some(Target::AtMost(2.0))), (EVERY_CALL, "clamped every call", None)]
    {
        let paid = calls.honest(rule)?;
        let brought = brought_by(calls, flags, rule);
        let influence: u64 = paid.influence.iter().sum();
        let spoilt: f64 = brought
            .iter()
            .zip(&paid.influence)
            .map(|(brought, paid)| brought.clamp(0.0, *paid as f64))
            .sum();
        let title =
            format!("{name}: influence pay brought by 10% spoilt rows of honest accounts, {how}");
        let row = Row::of(title, part_of(spoilt, influence as f64), "%");
        sheet.push(Row { target, ..row });
        let share = row_by_row(calls, flags, rule.clamp);
        let title = format!("{name}: the same if each row were paid by itself, {how}");
        sheet.push(Row::of(title, share, "%"));
        if rule.clamp == Clamp::Net {
            let share = part_of(influence as f64, calls.pools());
            sheet.push(Row::of(
                format!("{name}: share of the pools paid by influence"),
                share,
                "%",
            ));
        }
    }
    Ok(())
}

/// Per account, the credit of its spoilt rows, gwei: credits are linear in rows.
fn brought_by(calls: &Calls, flags: &[bool], rule: PayRule) -> Vec<f64> {
    let (sums, _) = calls.contributors(&calls.owners, calls.accounts);
    let mut brought = vec![0.0; calls.accounts];
    for (scores, sums) in calls.scores.iter().zip(&sums) {
        let whole: i64 = sums.iter().map(|sum| sum.abs()).sum();
        let mut spoilt = vec![0i64; calls.accounts];
        for ((&owner, &flag), score) in calls.owners.iter().zip(flags).zip(scores) {
            spoilt[owner] += score * i64::from(flag);
        }
        for ((brought, spoilt), sum) in brought.iter_mut().zip(spoilt).zip(sums) {
            let counts = rule.clamp == Clamp::Net || *sum > 0;
            *brought +=
                POOL as f64 * spoilt as f64 / whole.max(1) as f64 * f64::from(u8::from(counts));
        }
    }
    brought
}

/// Share of the pay of spoilt rows if each row were an account, without a limit of credits, in %.
fn row_by_row(calls: &Calls, flags: &[bool], clamp: Clamp) -> f64 {
    let mut nets = vec![0.0; flags.len()];
    for scores in &calls.scores {
        let whole: i64 = scores.iter().map(|score| score.abs()).sum();
        for (net, score) in nets.iter_mut().zip(scores) {
            let counted = if clamp == Clamp::Net { *score } else { (*score).max(0) };
            *net += counted as f64 / whole.max(1) as f64;
        }
    }
    let paid = |wanted: bool| -> f64 {
        nets.iter()
            .zip(flags)
            .filter(|(_, flag)| **flag == wanted)
            .map(|(net, _)| net.max(0.0))
            .sum()
    };
    part_of(paid(true), paid(true) + paid(false))
}

/// Pay of an account with spoilt rows only.
fn spoilt_account(
    task: &Task,
    calls: &Calls,
    part: &Part,
    sheet: &mut Sheet,
) -> Result<(), Failure> {
    let flags = part.places("flags")?;
    let bad = flags.iter().position(|flag| *flag == 1).map(|row| calls.owners[row]);
    let bad = bad.ok_or("a spoilt account must have rows")?;
    let paid = calls.honest(NET)?;
    let name = &task.about.task;
    for (what, amount) in [("influence pay", paid.influence[bad]), ("all pay", paid.total()[bad])] {
        let title = format!("{name}: {what} of an account of spoilt rows only");
        let share = part_of(amount as f64, calls.pools());
        sheet.push(Row::of(title, share, "% of pools").target(Target::AtMost(0.0)));
    }
    Ok(())
}

/// Rank correlation of pay with what leaving an account out costs the queries.
fn left_out(task: &Task, calls: &Calls, part: &Part, sheet: &mut Sheet) -> Result<(), Failure> {
    let (before, without) = (part.floats("before")?, part.floats("without")?);
    let before = before.row(0);
    let (scores, accepted) = calls.contributors(&calls.owners, calls.accounts);
    let correlation = |drawn: &[usize], rule: Option<PayRule>| {
        let cost = |account: usize| -> f64 {
            let without = without.row(account);
            drawn.iter().map(|&q| f64::from(before[q]) - f64::from(without[q])).sum()
        };
        let costs: Vec<f64> = (0..calls.accounts).map(cost).collect();
        let paid: Vec<f64> = match rule {
            None => accepted.iter().map(|rows| f64::from(*rows)).collect(),
            Some(rule) => {
                let drawn: Vec<Vec<i64>> = drawn.iter().map(|&q| scores[q].clone()).collect();
                pay(&drawn, &accepted, rule).ok()?.total().into_iter().map(|x| x as f64).collect()
            }
        };
        spearman(&paid, &costs)
    };
    let mut found = Vec::new();
    for (rule, how) in [
        (Some(NET), "net, clamped late"),
        (Some(EVERY_CALL), "clamped every call"),
        (None, "flat, by rows"),
    ] {
        let interval = bootstrap(before.len(), RESAMPLES, 1, |drawn| correlation(drawn, rule));
        found.extend(interval.map(|interval| (how, interval)));
    }
    let level = found.iter().skip(1).map(|(_, other)| other.value).fold(f64::MIN, f64::max);
    for (number, (how, interval)) in found.iter().enumerate() {
        let title = format!(
            "{}: rank correlation of pay with leaving an account out, {how}",
            task.about.task
        );
        let row = Row::with(title, *interval, "");
        sheet.push(if number == 0 { row.target(Target::Above(level)) } else { row });
    }
    Ok(())
}

/// Pay of an account that hands in its rows ten times, against its pay with one copy.
///
/// Training leaves exact copies out, so the model is the same; what it would be if copies that are
/// not found were trained on too is shown beside it.
fn copying(
    task: &Task,
    trained_on: &Calls,
    part: &Part,
    damping: f64,
    sheet: &mut Sheet,
) -> Result<(), Failure> {
    let copier = part.places("copier")?[0];
    let (owners, clusters) = (part.places("owners")?, part.places("clusters")?);
    let queries = task.query_gradients()?;
    let own: Vec<usize> = (0..task.owners.len()).collect();
    let once = Calls::of(task.gradients(), &queries, task.owners.clone(), &own, damping)?;
    let values = clusters.iter().flat_map(|&row| task.gradients().row(row)).copied().collect();
    let rows = Gradients::new(task.gradients().layout().clone(), values)?;
    let left_out = Calls::of(&rows, &queries, owners, &clusters, damping)?;
    let share = |calls: &Calls| -> Result<f64, Failure> {
        Ok(part_of(calls.honest(NET)?.total()[copier] as f64, calls.pools()))
    };
    let once = share(&once)?;
    let name = &task.about.task;
    let title = format!("{name}: pay of an account that copies its rows ten times");
    let row = Row::of(&title, share(&left_out)?, "% of pools").against("one copy", once);
    sheet.push(row.target(Target::AtMost(once)));
    let title = format!("{title}, if copies were trained on");
    sheet.push(Row::of(title, share(trained_on)?, "% of pools").against("one copy", once));
    Ok(())
}

/// What accounts gain by splitting into one-row accounts, each by itself.
fn splitting(task: &Task, calls: &Calls, sheet: &mut Sheet) -> Result<(), Failure> {
    let before = calls.honest(NET)?.total();
    let gain = |account: usize| -> Result<(f64, f64), Failure> {
        let mut owners = calls.owners.clone();
        let mine: Vec<usize> = (0..owners.len()).filter(|&row| owners[row] == account).collect();
        for (extra, &row) in mine.iter().skip(1).enumerate() {
            owners[row] = calls.accounts + extra;
        }
        let accounts = calls.accounts + mine.len().saturating_sub(1);
        let after = calls.pay(&owners, accounts, NET)?.total();
        let after = after[account] + after[calls.accounts..].iter().sum::<u64>();
        let gained = after as f64 - before[account] as f64;
        Ok((gained, gained / mine.len().saturating_sub(1).max(1) as f64))
    };
    let gains = (0..calls.accounts).map(gain).collect::<Result<Vec<_>, _>>()?;
    let title = "splitting an account into one-row accounts";
    gains_of(task, calls, title, &gains, sheet);
    Ok(())
}

/// What accounts gain by moving the rows with negative nets to a second account, each by itself.
fn hiding(task: &Task, calls: &Calls, sheet: &mut Sheet) -> Result<(), Failure> {
    let before = calls.honest(NET)?.total();
    let net = |row: usize| -> f64 {
        let in_call = |scores: &Vec<i64>| {
            let whole: i64 = scores.iter().map(|score| score.abs()).sum();
            scores[row] as f64 / whole.max(1) as f64
        };
        calls.scores.iter().map(in_call).sum()
    };
    let harmful: Vec<bool> = (0..calls.owners.len()).map(|row| net(row) < 0.0).collect();
    let gain = |account: usize| -> Result<(f64, f64), Failure> {
        let hide = |(&owner, &harmful): (&usize, &bool)| {
            if owner == account && harmful { calls.accounts } else { owner }
        };
        let owners: Vec<usize> = calls.owners.iter().zip(&harmful).map(hide).collect();
        let after = calls.pay(&owners, calls.accounts + 1, NET)?.total();
        let gained = (after[account] + after[calls.accounts]) as f64 - before[account] as f64;
        Ok((gained, gained))
    };
    let gains = (0..calls.accounts).map(gain).collect::<Result<Vec<_>, _>>()?;
    gains_of(task, calls, "hiding harmful rows in a second account", &gains, sheet);
    Ok(())
}

/// Mean and largest gain, and the bond per further account that takes it away.
fn gains_of(task: &Task, calls: &Calls, how: &str, gains: &[(f64, f64)], sheet: &mut Sheet) {
    let name = &task.about.task;
    let share = |gain: f64| part_of(gain, calls.pools());
    let mean = gains.iter().map(|gain| gain.0).sum::<f64>() / gains.len() as f64;
    let most = gains.iter().map(|gain| gain.0).fold(f64::MIN, f64::max);
    let bond = gains.iter().map(|gain| gain.1).fold(0.0, f64::max);
    sheet.push(Row::of(format!("{name}: gain by {how}, mean"), share(mean), "% of pools"));
    sheet.push(Row::of(format!("{name}: gain by {how}, largest"), share(most), "% of pools"));
    let title = format!("{name}: bond per further account that makes {how} unprofitable");
    sheet.push(Row::of(title, share(bond), "% of pools lost"));
}
