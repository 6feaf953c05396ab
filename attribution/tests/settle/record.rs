use attribution::{
    Error,
    settle::{Call, EarnerIndex, ModelOwner, Payees, Price, Record, ShareKind, Split, Terms},
};

fn terms(platform_fee: u64) -> Terms {
    let price = Price { input_rate: 0, output_rate: 0, platform_fee };
    Terms { price, split: Split::default(), max_credits: 32 }
}

fn payees(owners: &[(u32, u32)]) -> Payees {
    let owner = |&(earner, weight): &(u32, u32)| ModelOwner { earner: EarnerIndex(earner), weight };
    Payees { owners: owners.iter().map(owner).collect(), stakers: EarnerIndex(4) }
}

#[test]
fn owners_share_by_weight_and_the_remainder_is_the_treasurys() {
    let record = Record::new(Call::default(), terms(109), payees(&[(3, 2), (5, 1)]), &[]).unwrap();
    // 109: model 21, stakers 21, pool 54, platform 10 + 3; owners get 14 and 7.
    let shares: Vec<_> = record.shares().iter().map(|s| (s.kind, s.earner.0, s.amount)).collect();
    let expected = [
        (ShareKind::Treasury, 1, 13),
        (ShareKind::Owner, 3, 14),
        (ShareKind::Owner, 5, 7),
        (ShareKind::Stakers, 4, 21),
    ];
    assert_eq!(shares, expected);
    assert_eq!((record.fee(), record.pool(), record.interval()), (109, 54, (0, 109)));
}

#[test]
fn a_model_without_owners_leaves_its_share_to_the_treasury() {
    let record = Record::new(Call::default(), terms(100), payees(&[]), &[]).unwrap();
    let amounts: Vec<_> = record.shares().iter().map(|share| share.amount).collect();
    assert_eq!(amounts, [30, 20]);
}

#[test]
fn owners_that_cannot_share_are_refused() {
    let new = |owners: &[(u32, u32)]| Record::new(Call::default(), terms(1), payees(owners), &[]);
    assert!(matches!(new(&[(3, 0)]), Err(Error::Owners { .. })));
    assert!(matches!(new(&[(3, u32::MAX), (5, 1)]), Err(Error::Owners { .. })));
    assert!(matches!(new(&[(3, 1), (3, 1)]), Err(Error::DuplicateEarner { earner: 3, .. })));
    assert!(matches!(new(&[(0, 1)]), Err(Error::NobodyEarns { .. })));
    let many: Vec<_> = (2..19).map(|earner| (earner, 1)).collect();
    assert!(matches!(new(&many), Err(Error::Owners { max: 16, .. })));
    let nobody = Payees { owners: vec![], stakers: EarnerIndex(0) };
    let refused = Record::new(Call::default(), terms(1), nobody, &[]);
    assert!(matches!(refused, Err(Error::NobodyEarns { .. })));
}

#[test]
fn an_interval_that_does_not_fit_is_refused() {
    let call = Call { from: u64::MAX - 4, ..Call::default() };
    let refused = Record::new(call.clone(), terms(5), payees(&[]), &[]);
    assert!(matches!(refused, Err(Error::Overflow { .. })));
    let record = Record::new(call, terms(4), payees(&[]), &[]).unwrap();
    assert_eq!(record.clone().starting_at(7).unwrap().interval(), (7, 11));
    assert!(record.starting_at(u64::MAX).is_err());
}

#[test]
fn a_record_reads_back_as_itself() {
    let scores = [(EarnerIndex(9), -4), (EarnerIndex(7), 8), (EarnerIndex(8), 0)];
    let record = Record::new(Call::default(), terms(999), payees(&[(3, 1)]), &scores).unwrap();
    let stored = borsh::to_vec(&record).unwrap();
    assert_eq!(borsh::from_slice::<Record>(&stored).unwrap(), record);

    for at in 0..stored.len() {
        let mut wrong = stored.clone();
        wrong[at] ^= 1;
        // It either does not read or is another record, whose shares sum to its fee.
        if let Ok(read) = borsh::from_slice::<Record>(&wrong) {
            let shares: u64 = read.shares().iter().map(|share| share.amount).sum();
            let uses: u64 = read.sections().iter().map(|section| section.pool).sum();
            assert_eq!(shares + read.pool() + uses, read.fee());
            assert_ne!(read, record);
        }
    }
    assert!(borsh::from_slice::<Record>(&stored[..stored.len() - 1]).is_err());
}
