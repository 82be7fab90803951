//! The profile installer with mutated packages.

use profile::{Capabilities, InstalledProfile, Installer, MAX_FILE_MEMORY, MAX_FILES, Package};

use crate::nodes::{Goods, encode, mutate};
use crate::run::{Round, Run};
use crate::testbed::{Bench, iccid_of, packages};

#[test]
fn a_mutated_package_is_installed_or_refused_and_leaves_nothing() {
    let packages: Vec<Goods> = packages().iter().map(|package| Goods::of(package)).collect();
    let mut run = Run::of("a_mutated_package_is_installed_or_refused_and_leaves_nothing", 30, 100);
    let (mut installed, mut rounds) = (0, 0);
    while let Some(round) = run.round() {
        rounds += 1;
        installed += usize::from(install(round, &packages));
    }
    println!("{installed} of {rounds} packages were installed");
    run.end();
}

/// Returns true if the package of this round was installed.
fn install(mut round: Round, packages: &[Goods]) -> bool {
    let goods = round.hand.pick(packages);
    let mut package = goods.nodes.clone();
    let mut what = Vec::new();
    for _ in 0..*round.hand.pick(&[1, 1, 1, 2, 2, 4]) {
        what.push(mutate(&round.hand, &mut package, packages, &goods.paths));
    }
    let octets = encode(&package);
    let what = what.join(", ");
    let decoded = round.step(format!("{what}: decode {} octets", octets.len()), || Package::decode(&octets));
    let installed = decoded.as_ref().ok().and_then(|package| {
        assert_eq!(package.encode(), octets, "a decoded package is encoded to the same octets");
        let mut installer = Installer::new(Capabilities::default());
        let applied = round.step("Installer::apply".to_owned(), || {
            package.elements.iter().try_for_each(|element| installer.apply(element))
        });
        applied.and_then(|()| installer.finish()).map(|(installed, _)| installed).ok()
    });
    if let Some(installed) = &installed {
        look_at(installed);
    }
    // The metadata contains the ICCID before the card sees the package, so a package without a
    // valid one gets a substitute.
    let iccid = decoded.as_ref().ok().and_then(iccid_of);
    let iccid = iccid.unwrap_or_else(|| "89000123456789012341".parse().unwrap());
    if installed.is_some() && round.hand.chance(50) || round.hand.chance(10) {
        through_the_card(round, &octets, iccid, installed.as_ref());
    }
    installed.is_some()
}

/// Checks the invariants of the files of a profile.
fn look_at(installed: &InstalledProfile) {
    let files = &installed.files;
    assert!(files.all().count() <= MAX_FILES);
    assert!(files.memory() <= MAX_FILE_MEMORY, "{} octets", files.memory());
    for (index, file) in files.all() {
        let path = files.path_of(index);
        assert!(files.by_path(&path).is_some(), "{path:?} leads to a file");
        assert_eq!(files.content(index).is_none(), file.kind.is_directory(), "{path:?}");
        if let Some(length) = file.kind.record_length() {
            let content = files.content(index).unwrap();
            assert!(length > 0 && content.len().is_multiple_of(length), "{path:?}: whole records");
        }
    }
}

/// Installs the package over ES8+, and uses the profile.
fn through_the_card(
    round: Round,
    octets: &[u8],
    iccid: rsp::ids::Iccid,
    installed: Option<&InstalledProfile>,
) {
    let mut bench = Bench::new(round);
    let outcome = bench.download(octets, iccid);
    if outcome.is_ok() {
        assert!(installed.is_some(), "the card installed a package that the installer refuses");
        serve(&mut bench, iccid, installed.unwrap());
    }
    let before = bench.check();
    bench.power_cycle();
    assert_eq!(bench.check(), before, "the card is unchanged after a power cycle");
    if outcome.is_ok() {
        assert_eq!(bench.delete(iccid).0, 0, "the profile can be deleted");
        assert!(bench.check().is_empty(), "nothing is left");
    }
}

/// Enables the profile, selects and reads its files, and disables it again.
fn serve(bench: &mut Bench, iccid: rsp::ids::Iccid, installed: &InstalledProfile) {
    bench.isd_r();
    let enabled = bench.enable(iccid).0;
    bench.card.reset();
    if enabled == 0 {
        for (index, file) in installed.files.all() {
            if bench.round.hand.chance(60) {
                continue;
            }
            let path: Vec<u8> =
                installed.files.path_of(index).iter().skip(1).flat_map(|fid| fid.0.to_be_bytes()).collect();
            let select = match path.len() {
                0 => vec![0, 0xA4, 0, 4, 2, 0x3F, 0],
                length => [&[0, 0xA4, 8, 4, u8::try_from(length).unwrap_or(0xFF)][..], &path].concat(),
            };
            bench.whole(&select);
            match file.kind.record_length() {
                Some(_) => bench.whole(&[0, 0xB2, 1, 4, 0]),
                None => bench.whole(&[0, 0xB0, 0, 0, 0]),
            };
            bench.whole(&[0x80, 0xF2, 0, 0, 0]);
        }
        for (_, adf) in installed.files.adfs(&[]) {
            let profile::FileKind::Adf { aid } = &adf.kind else { continue };
            let select = [&[0, 0xA4, 4, 4, u8::try_from(aid.len()).unwrap()][..], &aid.0].concat();
            bench.whole(&select);
            bench.whole(&[0, 0x20, 0, 1, 8, 0x30, 0x30, 0x30, 0x30, 0xFF, 0xFF, 0xFF, 0xFF]);
            let challenge = bench.round.hand.octets(16);
            let authenticate = [&[0, 0x88, 0, 0x81, 34, 16][..], &challenge, &[16], &challenge].concat();
            bench.whole(&authenticate);
        }
        bench.isd_r();
        assert_eq!(bench.disable(iccid).0, 0, "an enabled profile can be disabled");
    }
    bench.card.reset();
}
