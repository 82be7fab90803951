//! The profile installer with mutated packages.

use profile::{Capabilities, InstalledProfile, Installer, MAX_FILE_MEMORY, MAX_FILES, Package};

use crate::nodes::{SamplePackage, encode, mutate};
use crate::run::{Round, Run};
use crate::testbed::{Testbed, iccid_of, packages};

#[test]
fn a_mutated_package_is_installed_or_refused_and_leaves_nothing() {
    let packages: Vec<SamplePackage> = packages().iter().map(|package| SamplePackage::of(package)).collect();
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
fn install(mut round: Round, packages: &[SamplePackage]) -> bool {
    let sample = round.random.pick(packages);
    let mut package = sample.nodes.clone();
    let mut what = Vec::new();
    for _ in 0..*round.random.pick(&[1, 1, 1, 2, 2, 4]) {
        what.push(mutate(&round.random, &mut package, packages, &sample.paths));
    }
    let octets = encode(&package);
    let what = what.join(", ");
    let (decoded, deviations) = rsp::finding::collect(|| {
        round.step(format!("{what}: decode {} octets", octets.len()), || Package::decode(&octets))
    });
    let installed = decoded.as_ref().ok().and_then(|package| {
        if deviations.is_empty() {
            assert_eq!(package.encode(), octets, "a decoded package is encoded to the same octets");
        }
        let mut installer = Installer::new(Capabilities::default());
        let applied = round.step("Installer::apply".to_owned(), || {
            package.elements.iter().try_for_each(|element| installer.apply(element))
        });
        applied.and_then(|()| installer.finish()).map(|(installed, _)| installed).ok()
    });
    if let Some(installed) = &installed {
        check_files(installed);
    }
    // The metadata contains the ICCID before the card sees the package, so a package without a
    // valid one gets a substitute.
    let iccid = decoded.as_ref().ok().and_then(iccid_of);
    let iccid = iccid.unwrap_or_else(|| "89000123456789012341".parse().unwrap());
    if installed.is_some() && round.random.chance(50) || round.random.chance(10) {
        through_the_card(round, &octets, iccid, installed.as_ref());
    }
    installed.is_some()
}

/// Checks the invariants of the files of a profile.
fn check_files(installed: &InstalledProfile) {
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
    let mut testbed = Testbed::new(round);
    let outcome = testbed.download(octets, iccid);
    if outcome.is_ok() {
        assert!(installed.is_some(), "the card installed a package that the installer refuses");
        serve(&mut testbed, iccid, installed.unwrap());
    }
    let before = testbed.check();
    testbed.power_cycle();
    assert_eq!(testbed.check(), before, "the card is unchanged after a power cycle");
    if outcome.is_ok() {
        assert_eq!(testbed.delete(iccid).0, 0, "the profile can be deleted");
        assert!(testbed.check().is_empty(), "nothing is left");
    }
}

/// Enables the profile, selects and reads its files, and disables it again.
fn serve(testbed: &mut Testbed, iccid: rsp::ids::Iccid, installed: &InstalledProfile) {
    testbed.isd_r();
    let enabled = testbed.enable(iccid).0;
    testbed.card.reset();
    if enabled == 0 {
        for (index, file) in installed.files.all() {
            if testbed.round.random.chance(60) {
                continue;
            }
            let path: Vec<u8> =
                installed.files.path_of(index).iter().skip(1).flat_map(|fid| fid.0.to_be_bytes()).collect();
            let select = match path.len() {
                0 => vec![0, 0xA4, 0, 4, 2, 0x3F, 0],
                length => [&[0, 0xA4, 8, 4, u8::try_from(length).unwrap_or(0xFF)][..], &path].concat(),
            };
            testbed.whole(&select);
            match file.kind.record_length() {
                Some(_) => testbed.whole(&[0, 0xB2, 1, 4, 0]),
                None => testbed.whole(&[0, 0xB0, 0, 0, 0]),
            };
            testbed.whole(&[0x80, 0xF2, 0, 0, 0]);
        }
        for (_, adf) in installed.files.adfs(&[]) {
            let profile::FileKind::Adf { aid } = &adf.kind else { continue };
            let select = [&[0, 0xA4, 4, 4, u8::try_from(aid.len()).unwrap()][..], &aid.0].concat();
            testbed.whole(&select);
            testbed.whole(&[0, 0x20, 0, 1, 8, 0x30, 0x30, 0x30, 0x30, 0xFF, 0xFF, 0xFF, 0xFF]);
            let challenge = testbed.round.random.octets(16);
            let authenticate = [&[0, 0x88, 0, 0x81, 34, 16][..], &challenge, &[16], &challenge].concat();
            testbed.whole(&authenticate);
        }
        testbed.isd_r();
        assert_eq!(testbed.disable(iccid).0, 0, "an enabled profile can be disabled");
    }
    testbed.card.reset();
}
