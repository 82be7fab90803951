//! Third-party programs process our packages: pySim reads and checks them, osmo-auc-gen
//! authenticates with their keys.
//!
//! `LANDFALL_PYSIM` names a checkout of pySim with its dependencies; osmo-auc-gen is searched in
//! PATH (Debian: libosmocore-utils). A test without its program is ignored.

#![allow(clippy::unwrap_used, reason = "clippy does not recognise this module as test code")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use profile::check::{ISIM_SERVICES, USIM_SERVICES};
use profile::description::{Algorithm, Authentication, FilesBy, Format};
use profile::{Capabilities, Description, Fid, InstalledProfile};

const DESCRIPTION: &str = r#"
iccid = "89724990000000000126"
imsi = "724990000000012"
msisdn = "+5511987654321"
pol1 = "02"
[authentication]
ki = "000102030405060708090A0B0C0D0E0F"
op = "101112131415161718191A1B1C1D1E1F"
[usim]
spn = "Local Brasil"
smsc = "+5511900000000"
home-plmns = ["724-99"]
operator-plmns = ["724-05 eutran"]
equivalent-plmns = ["724-98"]
forbidden-plmns = ["724-02"]
gid1 = "A1"
emergency = ["112", "190"]
[5g]
routing-indicator = "17"
suci-keys = [{ id = 27, profile = "A", key = "5A8D38864820197C3394B92613B20B91633CBD897119273BF8E4A6F4EEC0A650" }]
[isim]
pcscf = ["pcscf.ims.example"]
[security-domain]
[[security-domain.keys]]
version = 1
enc = "000102030405060708090A0B0C0D0E0F"
mac = "101112131415161718191A1B1C1D1E1F"
dek = "202122232425262728292A2B2C2D2E2F"
[[rfm]]
aid = "A00000055910100001"
tar = ["B00140"]
[[rfm]]
aid = "A00000055910100002"
tar = ["B00141"]
usim = true
[[file]]
directory = "7FD0"
id = "6FF8"
content = "0102"
[[identity]]
countries = ["724"]
imsi = "724050000000001"
ki = "000102030405060708090A0B0C0D0E0F"
opc = "101112131415161718191A1B1C1D1E1F"
"#;

fn descriptions() -> Vec<(String, Description)> {
    let whole = Description::parse(DESCRIPTION).unwrap();
    let small = Description::parse(&DESCRIPTION[..DESCRIPTION.find("home-plmns").unwrap()]).unwrap();
    let tuak = Description {
        authentication: Authentication {
            algorithm: Algorithm::Tuak,
            // The key has 128 bits, because pySim's checker refuses a package that lists the
            // service tuak256.
            ki: Some([0xC3; 16].into()),
            op: None,
            opc: Some([0x77; 32].into()),
            keccak: Some(3),
            ..whole.authentication.clone()
        },
        identity: Vec::new(),
        ..whole.clone()
    };
    let mut all = Vec::new();
    for format in [Format::V2_3, Format::V3_3] {
        for files in [FilesBy::Templates, FilesBy::Paths] {
            for (name, description) in [("whole", &whole), ("small", &small), ("tuak", &tuak)] {
                let description = Description { format, files, ..description.clone() };
                all.push((format!("{name}-{format}-{files:?}"), description));
            }
        }
    }
    all
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The checkout of pySim.
fn pysim() -> PathBuf {
    PathBuf::from(std::env::var_os("LANDFALL_PYSIM").unwrap())
}

/// The checkout, and the packages that pySim needs.
fn python_path(pysim: &Path) -> String {
    format!("{}:{}", pysim.display(), std::env::var("PYTHONPATH").unwrap_or_default())
}

#[test]
#[cfg_attr(not(has_pysim), ignore = "needs LANDFALL_PYSIM, a checkout of pySim")]
fn pysim_decodes_encodes_and_checks_built_packages() {
    let pysim = pysim();
    let folder = std::env::temp_dir().join(format!("landfall-strangers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, description) in descriptions() {
        let package = description.build().unwrap_or_else(|mistakes| panic!("{name}: {mistakes}"));
        let file = folder.join(format!("{name}.der"));
        std::fs::write(&file, package.encode()).unwrap();
        let path = python_path(&pysim);
        let python = "import sys\nfrom pySim.esim.saip import ProfileElementSequence as S\nb = open(sys.argv[1], 'rb').read()\n\
                      s = S.from_der(b)\nassert s.to_der() == b, 'written otherwise'\nprint(len(s.pe_list), 'elements')\n";
        let read = Command::new("python3")
            .env("PYTHONPATH", &path)
            .args(["-c", python])
            .arg(&file)
            .output()
            .unwrap();
        assert!(read.status.success(), "{name}: {}", said(&read));
        // pySim's checker recognises a USIM only by the PE that creates it by template.
        if description.files == FilesBy::Paths {
            continue;
        }
        let tool = pysim.join("contrib/saip-tool.py");
        let check = Command::new("python3")
            .env("PYTHONPATH", &path)
            .arg(tool)
            .arg(&file)
            .arg("check")
            .output()
            .unwrap();
        assert!(check.status.success(), "{name}: {}", said(&check));
        println!("{name}: {}{}", said(&read), said(&check));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
#[cfg_attr(not(has_osmo_auc_gen), ignore = "needs osmo-auc-gen (Debian: libosmocore-utils)")]
fn osmo_auc_gen_and_the_built_usim_compute_the_same_values() {
    let rand = "00112233445566778899AABBCCDDEEFF";
    let answer = Command::new("osmo-auc-gen")
        .args(["-3", "-a", "MILENAGE", "-k", "000102030405060708090A0B0C0D0E0F"])
        .args(["-O", "101112131415161718191A1B1C1D1E1F", "-s", "32", "-r", rand])
        .output()
        .unwrap();
    let answer = said(&answer);
    let value = |name: &str| {
        let line =
            answer.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{answer}"));
        line.trim().to_owned()
    };
    let with_milenage =
        descriptions().into_iter().filter(|(_, d)| d.authentication.algorithm == Algorithm::Milenage);
    for (name, description) in with_milenage {
        let installed =
            InstalledProfile::of(&description.build().unwrap(), &Capabilities::default()).unwrap();
        let aka = &installed.facts.aka[0];
        let key = |secret: &profile::SecretOctets| <[u8; 16]>::try_from(secret.expose()).unwrap();
        let milenage = crypto::milenage::Milenage::new(key(&aka.key), key(&aka.opc));
        let rand: [u8; 16] = hex::decode(rand).unwrap().try_into().unwrap();
        let keys = milenage.f2345(&rand);
        assert_eq!(hex::encode(keys.res.as_bytes()), value("RES:"), "{name}");
        assert_eq!(hex::encode(keys.ck.expose()), value("CK:"), "{name}");
        assert_eq!(hex::encode(keys.ik.expose()), value("IK:"), "{name}");
    }
}

/// The words of a name, shortened so that "configuration" equals "config", without the words that
/// every name contains.
fn words(name: &str) -> BTreeSet<String> {
    const EVERYWHERE: [&str; 9] = ["and", "by", "for", "of", "the", "in", "supp", "serv", "usim"];
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| word.len() > 1);
    let short = words.map(|word| word.chars().take(4).collect::<String>().to_ascii_lowercase());
    short.filter(|word| !EVERYWHERE.contains(&word.as_str())).collect()
}

#[test]
#[cfg_attr(not(has_pysim), ignore = "needs LANDFALL_PYSIM, a checkout of pySim")]
fn pysim_numbers_services_and_5g_files_identically() {
    let pysim = pysim();
    let python = "from pySim.ts_31_102 import EF_UST_map, DF_USIM_5GS\nfrom pySim.ts_31_103 import EF_IST_map\n\
                  for m in (EF_UST_map, EF_IST_map):\n    for n in sorted(m): print('service', n, m[n], sep='\\t')\n\
                  d = DF_USIM_5GS()\nfor f in d.children.values(): print('file', d.fid + f.fid, f.name, sep='\\t')\n";
    let said =
        Command::new("python3").env("PYTHONPATH", python_path(&pysim)).args(["-c", python]).output().unwrap();
    let told = String::from_utf8(said.stdout.clone()).unwrap();
    let rows: Vec<[&str; 3]> =
        told.lines().filter_map(|line| line.split('\t').collect::<Vec<_>>().try_into().ok()).collect();
    let services = rows.iter().filter(|[kind, ..]| *kind == "service");
    let ours = [&USIM_SERVICES[..], &ISIM_SERVICES[..]].into_iter().flat_map(|table| (1..).zip(table));
    let mut compared = 0;
    for ((number, name), [_, theirs, text]) in ours.zip(services) {
        assert_eq!(number.to_string(), **theirs);
        let otherwise_called =
            [("reserved", "RFU"), ("mission critical services", "MCPTT")].contains(&(name, text));
        assert!(otherwise_called || !words(name).is_disjoint(&words(text)), "{number}: {name}, and {text}");
        compared += 1;
    }
    assert_eq!(compared, USIM_SERVICES.len() + ISIM_SERVICES.len(), "{}", self::said(&said));

    let (_, description) =
        descriptions().into_iter().find(|(name, _)| name == "whole-3.3-Templates").unwrap();
    let files = InstalledProfile::of(&description.build().unwrap(), &Capabilities::default()).unwrap().files;
    let letters = |name: &str| -> String {
        let name = name.to_ascii_lowercase();
        name.trim_start_matches("ef").chars().filter(char::is_ascii_alphanumeric).collect()
    };
    let mut compared = 0;
    for [_, path, name] in rows.iter().filter(|[kind, ..]| *kind == "file") {
        let path = u32::from_str_radix(path, 16).unwrap().to_be_bytes();
        let [df, ef] = [[path[0], path[1]], [path[2], path[3]]].map(|fid| Fid(u16::from_be_bytes(fid)));
        let Some(index) = files.by_path(&[Fid(0x7FD0), df, ef]) else { continue };
        let Some(own) = files.file(index).and_then(|file| file.name.clone()) else { continue };
        assert_eq!(letters(&own), letters(name));
        compared += 1;
    }
    assert!(compared >= 3, "{compared} files of 5G");
    println!("{compared} files of 5G");
}
