use std::collections::BTreeMap;

use attribution::{
    Error,
    settle::{
        Balance, BatchHeader, BatchInputs, Call, Carries, ChannelId, EarnerIndex, Factors, Info,
        Ledger, ModelId, ModelOwner, Payees, Price, Record, Row, Split, Statement, Terms, build,
        check_balanced, payouts_of,
    },
};
use proptest::prelude::*;

type Weights = BTreeMap<ModelId, BTreeMap<EarnerIndex, u32>>;

/// What varies between the calls of a test.
#[derive(Clone, Debug)]
struct Served {
    id: u32,
    channel: u8,
    model: u8,
    time: u64,
    fee: u64,
    scores: BTreeMap<u32, i64>,
}

/// Records that tile their channels in the order given, from `place` on.
fn records(calls: &[Served], place: &mut BTreeMap<u8, u64>) -> Vec<Record> {
    let record = |served: &Served| {
        let mut voucher = [7; 32];
        voucher[..4].copy_from_slice(&served.id.to_be_bytes());
        let from = place.entry(served.channel).or_default();
        let call = Call {
            channel: ChannelId([served.channel; 32]),
            from: *from,
            voucher,
            model: ModelId([served.model; 32]),
            time: served.time,
            ..Call::default()
        };
        *from += served.fee;
        let price = Price { input_rate: 0, output_rate: 0, platform_fee: served.fee };
        let terms = Terms { price, split: Split::default(), max_credits: 4 };
        let owners = vec![ModelOwner { earner: EarnerIndex(3), weight: 1 }];
        let payees = Payees { owners, stakers: EarnerIndex(4) };
        let scores: Vec<_> = served.scores.iter().map(|(&e, &s)| (EarnerIndex(e), s)).collect();
        Record::new(call, terms, payees, &scores).unwrap()
    };
    calls.iter().map(record).collect()
}

fn seal(
    records: &[Record],
    carries: &Carries,
    weights: &Weights,
    factors: &Factors,
) -> Result<Ledger, Error> {
    build(&BatchInputs { header: BatchHeader::default(), carries, records, weights, factors })
}

fn served(id: u32, fee: u64, scores: &[(u32, i64)]) -> Served {
    let scores = scores.iter().copied().collect();
    Served { id, channel: 0, model: 1, time: u64::from(id), fee, scores }
}

fn weights(rows: &[(u32, u32)]) -> Weights {
    let rows = rows.iter().map(|&(earner, rows)| (EarnerIndex(earner), rows)).collect();
    [(ModelId([1; 32]), rows)].into()
}

fn balance(earner: u32) -> Balance {
    Balance::new(ModelId([1; 32]), EarnerIndex(earner))
}

fn simple(
    calls: &[Served],
    carries: &Carries,
    rows: &[(u32, u32)],
    reputation: &[(u32, u16)],
) -> Ledger {
    let reputation = reputation.iter().map(|&(e, bps)| (EarnerIndex(e), bps)).collect();
    let factors = Factors { reputation, ..Factors::default() };
    seal(&records(calls, &mut BTreeMap::new()), carries, &weights(rows), &factors).unwrap()
}

fn paid(ledger: &Ledger, earner: u32) -> u64 {
    ledger.payouts().get(&EarnerIndex(earner)).copied().unwrap_or(0)
}

#[test]
fn a_fee_of_one_open_pays_as_computed_by_hand() {
    // Pool 500; 10 gets 500 * 3/5 = 300, 11 loses 100, 12 gets 100; 12 keeps half by reputation.
    // Influence pays 300 + 50, so 150 go flat over 10 (1 row), 12 (1) and 13 (5): 21, 21, 107;
    // 11 is in the red and gets nothing. Rounding leaves 1 to the treasury beside its 100.
    let call = served(1, 1_000, &[(10, 3), (11, -1), (12, 1)]);
    let rows = [(10, 1), (11, 9), (12, 1), (13, 5)];
    let ledger = simple(&[call], &Carries::new(), &rows, &[(12, 5_000)]);
    let expected = [(1, 101), (3, 200), (4, 200), (10, 321), (12, 71), (13, 107)];
    assert_eq!(*ledger.payouts(), expected.map(|(e, gwei)| (EarnerIndex(e), gwei)).into());
    assert_eq!(*ledger.carries(), [(balance(11), -100)].into());
}

#[test]
fn netting_comes_before_clamping() {
    // 10 gets +500 and -500 and ends at nothing by influence; the pool of 1000 goes flat, all to
    // it, because it is not in the red.
    let calls = [served(1, 1_000, &[(10, 1)]), served(2, 1_000, &[(10, -1)])];
    let ledger = simple(&calls, &Carries::new(), &[(10, 1)], &[]);
    let payout = ledger.rows().iter().find_map(|row| match row.info {
        Info::Payout { influence, flat, .. } => Some((influence, flat)),
        _ => None,
    });
    assert_eq!((payout, paid(&ledger, 10)), (Some((0, 1_000)), 1_000));
    assert!(ledger.carries().is_empty());
}

#[test]
fn a_negative_net_rolls_over_until_it_is_earned_back() {
    let first = simple(&[served(1, 1_000, &[(10, -1)])], &Carries::new(), &[(10, 1)], &[]);
    assert_eq!(*first.carries(), [(balance(10), -500)].into());
    // In the red and the only contributor: the whole pool is the treasury's.
    assert_eq!((paid(&first, 10), paid(&first, 1)), (0, 600));

    let second = simple(&[served(2, 600, &[(10, 1)])], first.carries(), &[(10, 1)], &[]);
    assert_eq!(second.rows()[1].value, -500);
    assert_eq!(*second.carries(), [(balance(10), -200)].into());
    assert_eq!(paid(&second, 10), 0);

    let third = simple(&[served(3, 1_000, &[(10, 1)])], second.carries(), &[(10, 1)], &[]);
    assert!(third.carries().is_empty());
    // 300 by influence, and the 200 that it leaves by the flat rule.
    assert_eq!(paid(&third, 10), 500);
}

#[test]
fn a_carry_of_a_model_that_was_not_called_stays() {
    let idle = Balance::new(ModelId([2; 32]), EarnerIndex(10));
    let carries: Carries = [(idle, -9)].into();
    let ledger = simple(&[served(1, 10, &[])], &carries, &[], &[]);
    assert_eq!(*ledger.carries(), carries);
}

#[test]
fn without_contributors_the_pool_is_the_treasurys() {
    let ledger = simple(&[served(1, 1_000, &[])], &Carries::new(), &[], &[]);
    assert_eq!(paid(&ledger, 1), 600);
    let zero_rows = simple(&[served(1, 1_000, &[])], &Carries::new(), &[(10, 0)], &[]);
    assert_eq!((paid(&zero_rows, 1), paid(&zero_rows, 10)), (600, 0));
}

#[test]
fn a_free_call_makes_a_ledger_that_pays_nobody() {
    let ledger = simple(&[served(1, 0, &[(10, 1)])], &Carries::new(), &[(10, 1)], &[]);
    assert!(ledger.payouts().is_empty());
    assert_eq!((ledger.total(), ledger.draws()[0].amount()), (0, 0));
    Statement::read(ledger.rows()).unwrap();
}

#[test]
fn inputs_that_cannot_be_sealed_are_refused() {
    let (none, whole) = (Carries::new(), Factors::default());
    let one = weights(&[(10, 1)]);
    let call = |id, fee| served(id, fee, &[(10, 1)]);
    let made = |calls: &[Served]| records(calls, &mut BTreeMap::new());

    assert_eq!(seal(&[], &none, &one, &whole), Err(Error::EmptyBatch));
    let twice = [made(&[call(1, 5)]), made(&[call(1, 5)])].concat();
    assert!(matches!(seal(&twice, &none, &one, &whole), Err(Error::DuplicateVoucher { .. })));
    let overlap = [made(&[call(1, 5)]), made(&[call(2, 5)])].concat();
    let refused = Error::NotTiled { channel: [0; 32], expected: 5, given: 0 };
    assert_eq!(seal(&overlap, &none, &one, &whole), Err(refused));
    let unknown = seal(&made(&[call(1, 5)]), &none, &Weights::new(), &whole);
    assert_eq!(unknown, Err(Error::MissingWeights { model: [1; 32] }));
    let reputation = [(EarnerIndex(10), 10_001)].into();
    let too_much = Factors { reputation, ..Factors::default() };
    let refused = Error::Factor { what: "reputation", bps: 10_001 };
    assert_eq!(seal(&made(&[call(1, 5)]), &none, &one, &too_much), Err(refused));
    let shares = [(ModelId([1; 32]).into(), 10_001)].into();
    let too_much = Factors { shares, ..Factors::default() };
    let refused = Error::Factor { what: "credit share", bps: 10_001 };
    assert_eq!(seal(&made(&[call(1, 5)]), &none, &one, &too_much), Err(refused));
    let positive = [(balance(10), 0)].into();
    let refused = Error::CarryNotNegative { earner: 10, net: 0 };
    assert_eq!(seal(&made(&[call(1, 5)]), &positive, &one, &whole), Err(refused));

    let limit = i64::MAX.unsigned_abs();
    let mut much = [call(1, limit), call(2, 1)];
    assert!(matches!(
        seal(&made(&much), &none, &one, &whole),
        Err(Error::Overflow { what: "fees of a batch", .. })
    ));
    much[1].fee = 0;
    assert_eq!(seal(&made(&much), &none, &one, &whole).unwrap().total(), limit);
    let deep = [(balance(10), i64::MIN)].into();
    assert!(matches!(seal(&made(&[call(1, 5)]), &deep, &one, &whole), Err(Error::Overflow { .. })));
    let crowd: Vec<_> = (0..11_000).map(|id| call(id, 5)).collect();
    let refused = seal(&made(&crowd), &none, &one, &whole);
    assert_eq!(refused.err(), Some(Error::TooManyRows { rows: 66_006, max: 65_536 }));
}

#[test]
fn models_that_share_their_leading_bytes_are_refused() {
    let mut twin = [1; 32];
    twin[31] = 2;
    let mut weights = weights(&[]);
    weights.insert(ModelId(twin), BTreeMap::new());
    let made = records(&[served(1, 5, &[])], &mut BTreeMap::new());
    let refused = seal(&made, &Carries::new(), &weights, &Factors::default());
    assert_eq!(refused, Err(Error::IdCollision { id: twin }));
}

fn calls() -> impl Strategy<Value = Vec<Served>> {
    let scores = prop::collection::btree_map(10_u32..18, -1_000_i64..1_000, 0..7);
    let call = (0_u8..3, 0_u8..3, 0_u64..50, 0_u64..1_000_000_000_000, scores);
    prop::collection::vec(call, 1..12).prop_map(|calls| {
        let numbered = (0..).zip(calls);
        let served = numbered.map(|(id, (channel, model, time, fee, scores))| Served {
            id,
            channel,
            model,
            time,
            fee,
            scores,
        });
        served.collect()
    })
}

fn all_weights() -> impl Strategy<Value = Weights> {
    let rows = || prop::collection::btree_map(10_u32..20, 0_u32..1_000, 0..10);
    [rows(), rows(), rows()].prop_map(|models| {
        let model = |(id, rows): (u8, BTreeMap<u32, u32>)| {
            let rows = rows.into_iter().map(|(earner, rows)| (EarnerIndex(earner), rows)).collect();
            (ModelId([id; 32]), rows)
        };
        (0..).zip(models).map(model).collect()
    })
}

fn factors() -> impl Strategy<Value = Factors> {
    let model = (0_u8..3).prop_map(|id| ModelId([id; 32]).into());
    let shares = prop::collection::btree_map(model, 0_u16..=10_000, 0..3);
    let earner = (10_u32..20).prop_map(EarnerIndex);
    let reputation = prop::collection::btree_map(earner, 2_500_u16..=10_000, 0..10);
    (shares, reputation).prop_map(|(shares, reputation)| Factors { shares, reputation })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn whatever_is_charged_is_paid_and_every_account_closes(
        calls in calls(), weights in all_weights(), factors in factors(),
        carried in prop::collection::btree_map((0_u8..4, 10_u32..18), -1_000_000_000_i64..0, 0..6),
    ) {
        let carries: Carries = carried
            .into_iter()
            .map(|((model, e), net)| (Balance::new(ModelId([model; 32]), EarnerIndex(e)), net))
            .collect();
        let records = records(&calls, &mut BTreeMap::new());
        let ledger = seal(&records, &carries, &weights, &factors).unwrap();

        let fees: u64 = records.iter().map(Record::fee).sum();
        prop_assert_eq!(ledger.payouts().values().sum::<u64>(), fees);
        prop_assert_eq!(ledger.total(), fees);
        prop_assert_eq!(ledger.draws().iter().map(|draw| draw.amount()).sum::<u64>(), fees);
        prop_assert_eq!(&payouts_of(ledger.rows()).unwrap(), ledger.payouts());
        prop_assert!(ledger.rows().len().is_power_of_two());
        check_balanced(ledger.rows(), ledger.draws()).unwrap();

        let statement = Statement::read(ledger.rows()).unwrap();
        prop_assert_eq!(&statement.payouts, ledger.payouts());
        prop_assert_eq!(&statement.carries, ledger.carries());
        for row in ledger.rows() {
            prop_assert_eq!(&Row::from_cells(&row.to_cells()).unwrap(), row);
            if let Info::Payout { influence, flat, .. } = row.info && row.value > 0 {
                prop_assert_eq!((influence, flat), (0, 0), "a negative net is paid nothing");
            }
        }

        let mut backwards = records;
        backwards.reverse();
        prop_assert_eq!(seal(&backwards, &carries, &weights, &factors).unwrap(), ledger);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn cutting_epochs_elsewhere_conserves_what_is_paid_and_owed(
        calls in calls(), weights in all_weights(), cut: prop::sample::Index,
    ) {
        let whole = records(&calls, &mut BTreeMap::new());
        let (early, late) = whole.split_at(cut.index(whole.len()));
        let factors = Factors::default();
        let mut carries = Carries::new();
        let (mut total, mut paid) = (0, 0);
        let mut credits = BTreeMap::<Balance, i64>::new();
        for part in [early, late].into_iter().filter(|part| !part.is_empty()) {
            let ledger = seal(part, &carries, &weights, &factors).unwrap();
            total += ledger.total();
            paid += ledger.payouts().values().sum::<u64>();
            for row in ledger.rows() {
                if let (Info::Payout { influence, .. }, attribution::settle::Account::Balance(b)) =
                    (&row.info, row.account)
                {
                    *credits.entry(b).or_default() += i64::try_from(*influence).unwrap();
                }
            }
            carries = ledger.carries().clone();
        }
        prop_assert_eq!(total, whole.iter().map(Record::fee).sum::<u64>());
        prop_assert_eq!(paid, total);

        // With whole factors, influence pay and what is still owed are the signed credits.
        for (balance, net) in carries {
            *credits.entry(balance).or_default() += net;
        }
        for record in &whole {
            for credit in record.credits() {
                let balance = Balance::new(record.call().model, credit.earner);
                *credits.entry(balance).or_default() -= credit.credit;
            }
        }
        prop_assert!(credits.values().all(|&sum| sum == 0));
    }
}
