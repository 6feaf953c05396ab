//! Credits for spans and citations.

use std::sync::{Arc, OnceLock};

use attribution::{
    estimate::RowSource,
    settle::{
        Account, Balance, Call, Citation, EarnerIndex, Ground, Info, Mix, ModelOwner, Payees,
        Record, Row, SpanUse, Statement, Terms, Use, UseKind, Uses,
        audit::{CitedRow, Evidence, Fault, Rows, Rule},
        check_balanced, keccak, payouts_of,
    },
    spans::{Check, Cuts, SpanBuilder, SpanConfig, SpanIndex, SpanRules},
};
use proptest::prelude::*;

use super::world::{Posted, Served, World, calls, model, post, rules, world};

/// Rows of contributors 10, 11, 12, 11, 12, the third a copy of the first and more. `9` is nobody's.
fn build(extra: &[u32]) -> Arc<SpanIndex> {
    let rows: [(u32, u32, &[u32]); 6] = [
        (10, 0, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 80, 81, 82]),
        (11, 1, &[20, 21, 22, 23, 24, 25, 26, 27, 28]),
        (12, 0, &[0, 1, 2, 3, 4, 5, 70]),
        (11, 3, &[50, 0, 1, 2, 3, 4, 5, 51]),
        (12, 4, &[60, 61, 62, 63, 64, 90, 60, 61, 62, 63, 64]),
        (12, 5, extra),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let config = SpanConfig { vocabulary: 200, shard_positions: 1 << 20 };
    let mut builder = SpanBuilder::create(&path, config).unwrap();
    for (index, (earner, cluster, tokens)) in (0..).zip(rows) {
        let (hash, earner) = (keccak(&[&[0]]), EarnerIndex(earner));
        builder.push(RowSource { datanet: 0, index, hash, earner, cluster }, tokens).unwrap();
    }
    builder.finish(&mut |_| {}).unwrap();
    // Maps stay valid when the folder is removed.
    Arc::new(SpanIndex::open(&path, Check::Everything).unwrap())
}

pub(super) fn corpus() -> Arc<SpanIndex> {
    static INDEX: OnceLock<Arc<SpanIndex>> = OnceLock::new();
    INDEX.get_or_init(|| build(&[91, 92, 93])).clone()
}

/// What a model answers: spans of 6, 5 and 6 tokens, as far as the answer goes.
const ANSWER: [u32; 20] =
    [0, 1, 2, 3, 4, 5, 199, 60, 61, 62, 63, 64, 198, 22, 23, 24, 25, 26, 27, 197];

pub(super) fn honest_uses(world: &World, served: &Served) -> Uses {
    let answer = &ANSWER[..ANSWER.len().min(served.tokens.1 as usize)];
    let index = world.spans.as_ref().unwrap();
    let rules = SpanRules { keep_bps: 10_000, ..SpanRules::default() };
    let spans = index.spans(answer, &rules, &Cuts::none()).unwrap();
    let cite = |earner, citation: Citation| Use {
        earner: EarnerIndex(earner),
        score: citation.score(),
        ground: Ground::Citation(citation),
    };
    let citations = vec![
        cite(10, Citation { datanet: 0, row: 3, relevance: 900, uses: 2 }),
        cite(12, Citation { datanet: 1, row: 7, relevance: 500, uses: 1 }),
        cite(10, Citation { datanet: 1, row: 8, relevance: 500, uses: 1 }),
    ];
    Uses { mix: world.mix, spans: index.uses(answer, &spans), citations }
}

/// The world with a mix for models 1 and 2.
pub(super) fn mixed() -> World {
    let mut world = world();
    world.mix = Mix::new(3_000, 2_001).unwrap();
    world.spans = Some(corpus());
    world.cited = [((0, 3), 10, true), ((1, 7), 12, true), ((1, 8), 10, true), ((0, 5), 11, false)]
        .map(|(place, earner, is_canonical)| {
            (place, CitedRow { earner: EarnerIndex(earner), is_canonical })
        })
        .into();
    world.uses = honest_uses;
    world
}

pub(super) fn sections(posted: &Posted, kind: UseKind) -> Vec<usize> {
    posted.rows_where(|row| matches!(row.info, Info::UsePool { kind: of, .. } if of == kind))
}

pub(super) fn spans(posted: &Posted) -> Vec<usize> {
    posted.rows_where(|row| matches!(row.info, Info::SpanCredit { .. }))
}

fn citations(posted: &Posted) -> Vec<usize> {
    posted.rows_where(|row| matches!(row.info, Info::CitationCredit { .. }))
}

pub(super) fn span_of(row: &mut Row) -> &mut SpanUse {
    match &mut row.info {
        Info::SpanCredit { span, .. } => span,
        other => panic!("{other:?}"),
    }
}

/// Faults of an honest batch after a change.
fn changed(change: impl FnOnce(&mut Posted)) -> Vec<Fault> {
    let world = mixed();
    let mut posted = post(&world, &calls(), None);
    change(&mut posted);
    posted.faults(&world)
}

/// Faults of the batch of an operator that makes something else of the answers.
pub(super) fn claimed(uses: fn(&World, &Served) -> Uses) -> (Posted, Vec<Fault>) {
    let mut operator = mixed();
    operator.uses = uses;
    let posted = post(&operator, &calls(), None);
    let faults = posted.faults(&mixed());
    (posted, faults)
}

#[test]
fn an_honest_mix_has_no_fault_and_pays_each_part() {
    let world = mixed();
    let first = post(&world, &calls(), None);
    assert_eq!(first.faults(&world), []);
    let second = post(&world, &calls(), Some(&first));
    assert_eq!(second.faults(&world), []);
    assert_eq!(second.faults_of(&second.symbols(), &world), []);
    Statement::read(&second.rows).unwrap();

    let record = first.records()[0];
    let pools = (record..).map(|at| &first.rows[at]).take_while(|row| {
        !matches!(row.info, Info::PoolClosing { .. })
            && !matches!(row.info, Info::Record { ordinal: 1.., .. })
    });
    let values: Vec<_> = pools
        .filter(|row| matches!(row.info, Info::PoolShare { .. } | Info::UsePool { .. }))
        .map(|row| row.value)
        .collect();
    let share: i64 = values.iter().sum();
    assert_eq!(values[1..], [share * 3 / 10, share * 2_001 / 10_000]);
    // Four clusters hold three spans; the repeat within row 4 counts once.
    let Info::UsePool { credits, .. } = first.rows[sections(&first, UseKind::Span)[0]].info else {
        panic!("a pool")
    };
    assert_eq!(credits, 4);
    let earners: Vec<_> =
        spans(&first)[..4].iter().map(|&at| attribution_of(&first.rows[at])).collect();
    // Alone with six tokens; alone with five, twice; then the two that share six.
    assert_eq!(earners, [11, 12, 10, 11]);
}

fn attribution_of(row: &Row) -> u32 {
    match row.account {
        Account::Balance(balance) => balance.earner.0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_calls_of_these_tests_reach_the_kinds_of_rows_for_uses() {
    let posted = post(&mixed(), &calls(), None);
    for kind in 10..14 {
        assert!(!posted.rows_where(|row| row.info.kind() == kind).is_empty(), "{kind}");
    }
}

#[test]
fn pools_are_divided_by_the_models_mix() {
    let mut operator = mixed();
    operator.mix = Mix::new(3_000, 2_500).unwrap();
    let posted = post(&operator, &calls(), None);
    let faults = posted.faults(&mixed());
    assert_eq!(rules(&faults), [Rule::Split]);
    let cited = sections(&posted, UseKind::Citation);
    assert!(faults.iter().any(|fault| fault.rows.contains(&cited[0])));

    // Without sections, influence has too much.
    let mut operator = mixed();
    operator.mix = Mix::default();
    let posted = post(&operator, &calls(), None);
    assert!(sections(&posted, UseKind::Span).is_empty());
    assert_eq!(rules(&posted.faults(&mixed())), [Rule::Split]);
}

#[test]
fn credits_for_uses_are_what_their_scores_give() {
    let posted = post(&mixed(), &calls(), None);
    for credits in [spans(&posted), citations(&posted)] {
        let same = |&&at: &&usize| {
            at > credits[0] + 4 && posted.rows[at].account == posted.rows[credits[0]].account
        };
        let other = *credits.iter().find(same).unwrap();
        let faults = changed(|posted| {
            posted.rows[credits[0]].value += 1;
            posted.rows[other].value -= 1;
        });
        assert_eq!(rules(&faults), [Rule::Credit]);
    }
}

#[test]
fn a_pool_of_uses_counts_its_credits() {
    let posted = post(&mixed(), &calls(), None);
    for kind in [UseKind::Span, UseKind::Citation] {
        let pool = *sections(&posted, kind).last().unwrap();
        for more in [-1_i16, 1, 200] {
            let faults = changed(|posted| {
                let Info::UsePool { credits, .. } = &mut posted.rows[pool].info else {
                    panic!("a pool")
                };
                *credits = u8::try_from(i16::from(*credits) + more).unwrap();
            });
            let counted = |fault: &Fault| fault.evidence == Evidence::CreditCount;
            assert!(faults.iter().any(|fault| counted(fault) && fault.rows[0] == pool));
        }
    }
}

#[test]
fn uses_beyond_the_rules_are_too_many() {
    let mut operator = mixed();
    operator.rules.max_credits = 4;
    let posted = post(&operator, &calls(), None);
    let mut strict = mixed();
    strict.rules.max_credits = 2;
    let faults = posted.faults(&strict);
    let pools = sections(&posted, UseKind::Span);
    let many = |at: usize| {
        faults.iter().any(|fault| fault.rule == Rule::TooMany && fault.rows.contains(&at))
    };
    assert!(many(pools[0]));
}

#[test]
fn records_are_counted_behind_their_last_section() {
    let faults = changed(|posted| {
        let Info::Header { records, .. } = &mut posted.rows[0].info else { panic!("the header") };
        *records += 1;
    });
    assert_eq!(rules(&faults), [Rule::Sequence]);
    let posted = post(&mixed(), &calls(), None);
    assert!(matches!(faults[0].evidence, Evidence::RecordCount));
    assert!(faults[0].rows.contains(sections(&posted, UseKind::Citation).last().unwrap()));

    let faults = changed(|posted| {
        let at = posted.records()[1];
        let Info::Record { ordinal, .. } = &mut posted.rows[at].info else { panic!("a record") };
        *ordinal = 7;
    });
    assert!(faults.iter().any(|fault| fault.evidence == Evidence::Sequence));
}

#[test]
fn only_contributors_of_the_index_are_credited_for_uses() {
    let posted = post(&mixed(), &calls(), None);
    let other = mixed().with_index(|index| index.retain(|(of, _)| of.earner.0 != 12));
    let faults = posted.faults(&other);
    let stranger =
        |at: usize| faults.iter().any(|fault| fault.rule == Rule::Stranger && fault.rows == [at]);
    let of_12 = |at: &&usize| {
        posted.rows[**at].account == Account::Balance(Balance::new(model(1), EarnerIndex(12)))
    };
    let (spans, citations) = (spans(&posted), citations(&posted));
    assert!(stranger(*spans.iter().find(of_12).unwrap()));
    assert!(stranger(*citations.iter().find(of_12).unwrap()));
}

/// The spans' evidence of faults of this rule alone.
fn span_faults(faults: &[Fault]) -> Vec<(usize, Evidence)> {
    assert_eq!(rules(faults), [Rule::Span]);
    faults.iter().map(|fault| (fault.rows[0], fault.evidence.clone())).collect()
}

#[test]
fn a_spans_ranks_are_those_that_start_with_it() {
    let posted = post(&mixed(), &calls(), None);
    // The first credit is of a span that is there once.
    let first = spans(&posted)[0];
    let low = span_of(&mut posted.rows[first].clone()).low;
    let model = model(1);
    // Elsewhere in the array stands another text, of another row.
    let moved = span_faults(&changed(|posted| span_of(&mut posted.rows[first]).low = 0));
    assert_eq!(moved[0], (first, Evidence::SpanRange { model, rank: 1 }));
    // More tokens go beyond what is the same, fewer do not: the text is shorter than the row.
    let longer = changed(|posted| span_of(&mut posted.rows[first]).length = 30);
    let range = Evidence::SpanRange { model, rank: low };
    assert!(longer.iter().any(|fault| fault.evidence == range), "beyond the row");
    let tokens = corpus().tokens();
    let beyond = span_faults(&changed(|posted| span_of(&mut posted.rows[first]).low = tokens));
    assert_eq!(beyond, [(first, Evidence::SpanBeyond { model })]);
    let wrapped = changed(|posted| span_of(&mut posted.rows[first]).low = u64::MAX);
    assert_eq!(span_faults(&wrapped), [(first, Evidence::SpanBeyond { model })]);

    // Of three occurrences, two.
    let (_, faults) = claimed(|world, served| {
        let mut uses = honest_uses(world, served);
        for of in &mut uses.spans {
            if let Ground::Span(span) = &mut of.ground
                && span.count == 3
            {
                (span.count, span.low) = (2, span.low + 1);
                of.score = span.score(world.spans.as_ref().unwrap().tokens());
            }
        }
        uses
    });
    let missed = |fault: &Fault| matches!(fault.evidence, Evidence::SpanRange { .. });
    assert!(faults.iter().any(missed));
}

#[test]
fn a_span_is_credited_to_the_contributors_of_its_clusters() {
    let model = model(1);
    // The copy's contributor instead of the canonical row's.
    let (posted, faults) = claimed(|world, served| {
        let mut uses = honest_uses(world, served);
        for of in &mut uses.spans {
            if of.earner == EarnerIndex(10) {
                of.earner = EarnerIndex(12);
            }
        }
        uses
    });
    let found = span_faults(&faults);
    let row = spans(&posted)[2];
    assert_eq!(attribution_of(&posted.rows[row]), 12);
    assert_eq!(found[0], (row, Evidence::SpanHolder { model }));

    // The repeat within a row as a second holder.
    let (_, faults) = claimed(|world, served| {
        let mut uses = honest_uses(world, served);
        let mut twice = Vec::new();
        for of in &uses.spans {
            if let Ground::Span(span) = of.ground
                && (span.count, span.holders) == (2, 1)
            {
                let both = SpanUse { holders: 2, ..span };
                let score = both.score(world.spans.as_ref().unwrap().tokens());
                let second = SpanUse { holder: 1, occurrence: 1, ..both };
                twice.push(Use { score, ground: Ground::Span(both), ..*of });
                twice.push(Use { score, ground: Ground::Span(second), ..*of });
            } else {
                twice.push(*of);
            }
        }
        uses.spans = twice;
        uses
    });
    let found = span_faults(&faults);
    assert!(found.iter().any(|(_, of)| *of == Evidence::SpanHolders { model }));
    assert!(found.iter().any(|(_, of)| *of == Evidence::SpanRepeat { model, occurrence: 0 }));
}

#[test]
fn a_span_is_worth_what_length_count_and_holders_say() {
    let (posted, faults) = claimed(|world, served| {
        let mut uses = honest_uses(world, served);
        for of in &mut uses.spans {
            of.score += u64::from(of.earner == EarnerIndex(12));
        }
        uses
    });
    let found = span_faults(&faults);
    let of_12: Vec<_> =
        spans(&posted).into_iter().filter(|&at| attribution_of(&posted.rows[at]) == 12).collect();
    assert_eq!(found.iter().map(|found| found.0).collect::<Vec<_>>(), of_12);
    assert!(found.iter().all(|(_, of)| matches!(of, Evidence::SpanScore { .. })));
    // The larger the index, the rarer.
    let mut larger = mixed();
    larger.spans = Some(build(&[91; 40]));
    let honest = post(&mixed(), &calls(), None);
    assert!(honest.faults(&larger).iter().all(|fault| fault.rule == Rule::Span));
    assert!(!honest.faults(&larger).is_empty());
}

#[test]
fn spans_are_within_the_answer_and_not_within_others() {
    let (posted, faults) = claimed(|world, served| {
        let mut uses = honest_uses(world, served);
        for of in &mut uses.spans {
            if let Ground::Span(span) = &mut of.ground {
                span.start += 190;
            }
        }
        uses
    });
    let outside = Evidence::SpanOutside;
    let short = posted.records()[0];
    assert!(faults.contains(&Fault {
        rule: Rule::Span,
        rows: vec![short, spans(&posted)[0]],
        evidence: outside
    }));

    // A part of a span beside it.
    let part = changed(|posted| {
        let rows = spans(posted);
        let other = *span_of(&mut posted.rows[rows[0]]);
        span_of(&mut posted.rows[rows[1]]).start = other.start + 1;
    });
    assert!(part.iter().any(|fault| fault.evidence == Evidence::SpanNested));
}

#[test]
fn spans_need_an_index() {
    let posted = post(&mixed(), &calls(), None);
    let mut without = mixed();
    without.spans = None;
    let faults = posted.faults(&without);
    assert_eq!(rules(&faults), [Rule::Span]);
    let rows: Vec<_> = faults.iter().map(|fault| fault.rows[1]).collect();
    assert_eq!(rows, spans(&posted));
    assert_eq!(faults[0].rows[0], posted.records()[0]);
    assert!(faults.iter().all(|of| matches!(of.evidence, Evidence::SpanUnfounded { .. })));
}

#[test]
fn citations_are_of_canonical_rows_and_their_contributors() {
    let model = model(1);
    let cite = |place: (u8, u64), earner: u32| {
        let posted = post(&mixed(), &calls(), None);
        let mut other = mixed();
        other.cited.remove(&(0, 3));
        if earner > 0 {
            let is_canonical = place == (0, 3);
            let row = CitedRow { earner: EarnerIndex(earner), is_canonical };
            other.cited.insert((0, 3), row);
        }
        let faults = posted.faults(&other);
        assert_eq!(rules(&faults), [Rule::Citation]);
        assert_eq!(faults[0].rows, [citations(&posted)[0]]);
        faults[0].evidence.clone()
    };
    assert_eq!(cite((0, 3), 0), Evidence::CitationUnfounded { model });
    assert_eq!(cite((0, 3), 11), Evidence::Citation { model });
    assert_eq!(cite((0, 5), 10), Evidence::Citation { model });
}

fn terms(world: &World) -> (Terms, Payees) {
    let terms = Terms { price: world.price, split: world.rules.split, max_credits: 8 };
    let owners = vec![ModelOwner { earner: EarnerIndex(3), weight: 1 }];
    (terms, Payees { owners, stakers: EarnerIndex(4) })
}

#[test]
fn uses_that_no_record_can_have_are_refused() {
    let (world, call) = (mixed(), calls()[0].clone());
    let record = |change: &dyn Fn(&mut Uses)| {
        let mut uses = honest_uses(&world, &call);
        change(&mut uses);
        let (terms, payees) = terms(&world);
        Record::mixed(Call::default(), terms, payees, &[], uses)
            .map(|record| record.sections().to_vec())
            .map_err(|error| error.to_string())
    };
    let whole = record(&|_| {}).unwrap();
    assert_eq!((whole[0].credits.len(), whole[1].credits.len()), (4, 3));
    let refused = |change: &dyn Fn(&mut Uses)| record(change).unwrap_err();
    let last = "uses of rows are refused: a span's holders must all be there";
    let shared = |uses: &Uses| {
        let holder = |of: &Use| matches!(of.ground, Ground::Span(span) if span.holders == 2);
        uses.spans.iter().position(holder).unwrap()
    };
    assert_eq!(
        refused(&|uses| {
            uses.spans.remove(shared(uses));
        }),
        last
    );
    assert_eq!(
        refused(&|uses| {
            uses.spans.remove(shared(uses) + 1);
        }),
        last
    );
    let nested = "uses of rows are refused: no span may be within another";
    assert_eq!(
        refused(&|uses| {
            let Ground::Span(mut span) = uses.spans[0].ground else { panic!("a span") };
            (span.start, span.length) = (span.start + 1, 4);
            (span.holder, span.holders, span.occurrence) = (0, 1, 0);
            uses.spans.push(Use { ground: Ground::Span(span), ..uses.spans[0] });
        }),
        nested
    );
    let ranges = "uses of rows are refused: a span's numbers must be in their ranges";
    assert_eq!(
        refused(&|uses| {
            let Ground::Span(span) = &mut uses.spans[0].ground else { panic!("a span") };
            span.length = 3;
        }),
        ranges
    );
    let score = "uses of rows are refused: a citation's score must be relevance times uses";
    assert_eq!(refused(&|uses| uses.citations[0].score += 1), score);
    let once = "uses of rows are refused: a row must be cited once";
    assert_eq!(refused(&|uses| uses.citations.push(uses.citations[0])), once);
    let place = "uses of rows are refused: spans and citations must be where they belong";
    assert_eq!(refused(&|uses| uses.spans.push(uses.citations[0])), place);
    assert!(refused(&|uses| uses.citations[0].earner = EarnerIndex(0)).contains("index 0"));
    // What has no score is dropped.
    let none = record(&|uses| {
        (uses.citations[0].ground, uses.citations[0].score) =
            (Ground::Citation(Citation::default()), 0);
    });
    assert_eq!(none.unwrap()[1].credits.len(), 2);
}

#[test]
fn a_span_is_credited_whole_or_not_at_all() {
    for (max_credits, kept) in [(8, 4), (4, 4), (3, 2), (2, 2), (1, 1), (0, 0)] {
        let mut world = mixed();
        world.rules.max_credits = max_credits;
        let posted = post(&world, &calls(), None);
        assert_eq!(posted.faults(&world), [], "{max_credits}");
        let pool = sections(&posted, UseKind::Span)[0];
        let Info::UsePool { credits, .. } = posted.rows[pool].info else { panic!("a pool") };
        assert_eq!(credits, kept);
    }
}

#[test]
fn any_numbers_of_uses_are_audited() {
    let world = mixed();
    let honest = post(&world, &calls(), None);
    for at in spans(&honest) {
        for fill in [0, 1, 0x7f, 0xff] {
            for cells in [&[5_usize][..], &[4, 5], &[4]] {
                let mut symbols = honest.symbols();
                for cell in cells {
                    // Behind the kind's byte, as far as fields go.
                    let fields = if *cell == 4 { 2..29 } else { 12..32 };
                    symbols[8 * at + cell][fields].fill(fill);
                }
                assert!(!honest.faults_of(&symbols, &world).is_empty());
            }
        }
    }
}

#[test]
fn mixed_records_are_read_back() {
    use borsh::BorshDeserialize;
    let world = mixed();
    let (terms, payees) = terms(&world);
    let uses = honest_uses(&world, &calls()[0]);
    let scores = [(EarnerIndex(10), -7)];
    let call = Call { tokens_out: 100, ..Default::default() };
    let record = Record::mixed(call, terms, payees, &scores, uses).unwrap();
    let bytes = borsh::to_vec(&record).unwrap();
    assert_eq!(Record::try_from_slice(&bytes).unwrap(), record);
    let mut refused = 0;
    for at in 0..bytes.len() {
        let mut other = bytes.clone();
        other[at] ^= 1;
        refused +=
            usize::from(Record::try_from_slice(&other).is_err_and(|e| !e.to_string().is_empty()));
    }
    assert!(refused > 100, "{refused}");
}

fn adds_up(posted: &Posted, rows: &[Row]) -> bool {
    let total = payouts_of(rows).map(|paid| paid.values().map(|&x| u128::from(x)).sum());
    let named = rows.iter().all(|row| row.account != Account::None || row.value == 0);
    named && check_balanced(rows, &posted.draws).is_ok() && total == Ok(u128::from(posted.total))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// But which text of the index stands where in the answer: only who has the answer can tell.
    /// Another place in the array may hold another span of the same worth and contributor.
    #[test]
    fn no_byte_of_a_mixed_ledger_changes_unnoticed(
        at: prop::sample::Index, byte in 0_usize..32, flip in 1_u8..=255,
    ) {
        let world = mixed();
        let posted = post(&world, &calls(), None);
        let mut symbols = posted.symbols();
        let at = at.index(symbols.len());
        symbols[at][byte] ^= flip;
        let text = matches!(posted.rows[at / 8].info, Info::SpanCredit { .. })
            && at % 8 == 5
            && ((12..14).contains(&byte) || (16..24).contains(&byte));
        let rows = Rows::from_symbols(&symbols);
        let decoded: Vec<_> = (0..rows.len()).filter_map(|row| rows.get(row).cloned()).collect();
        let faults = posted.faults_of(&symbols, &world);
        prop_assert!(
            text || !faults.is_empty() || !adds_up(&posted, &decoded),
            "symbol {at}, byte {byte}: {:?}", posted.rows[at / 8]
        );
    }
}
