//! What strangers say of packages that are built here: pySim reads and checks them, osmo-auc-gen answers as their keys do.
//!
//! pySim is looked for at `LANDFALL_PYSIM` (a checkout, with its dependencies), osmo-auc-gen in the path
//! (Debian: libosmocore-utils). A test without its stranger says that it is skipped.

#![allow(clippy::unwrap_used, reason = "this is test code, though clippy sees no test here")]

use std::path::PathBuf;
use std::process::{Command, Output};

use profile::description::{FilesBy, Format};
use profile::{Capabilities, Description, InstalledProfile};

const DESCRIPTION: &str = r#"
iccid = "89724990000000000129"
imsi = "724990000000012"
msisdn = "+5511987654321"
[authentication]
ki = "000102030405060708090A0B0C0D0E0F"
op = "101112131415161718191A1B1C1D1E1F"
[usim]
spn = "Local Brasil"
smsc = "+5511900000000"
home-plmns = ["724-99"]
gid1 = "A1"
[5g]
routing-indicator = "17"
suci-keys = [{ id = 27, profile = "A", key = "5A8D38864820197C3394B92613B20B91633CBD897119273BF8E4A6F4EEC0A650" }]
[isim]
[[rfm]]
aid = "A00000055910100001"
tar = ["B00140"]
[[identity]]
countries = ["724"]
imsi = "724050000000001"
ki = "000102030405060708090A0B0C0D0E0F"
opc = "101112131415161718191A1B1C1D1E1F"
"#;

fn descriptions() -> Vec<(String, Description)> {
    let whole = Description::parse(DESCRIPTION).unwrap();
    let small = Description::parse(&DESCRIPTION[..DESCRIPTION.find("home-plmns").unwrap()]).unwrap();
    let mut all = Vec::new();
    for format in [Format::V2_3, Format::V3_3] {
        for files in [FilesBy::Templates, FilesBy::Paths] {
            for (name, description) in [("whole", &whole), ("small", &small)] {
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

#[test]
fn pysim_reads_what_is_built_and_writes_it_back_and_its_tool_checks_it() {
    let Some(pysim) = std::env::var_os("LANDFALL_PYSIM").map(PathBuf::from) else {
        println!("skipped: LANDFALL_PYSIM does not name a checkout of pySim");
        return;
    };
    let folder = std::env::temp_dir().join(format!("landfall-strangers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, description) in descriptions() {
        let package = description.build().unwrap_or_else(|mistakes| panic!("{name}: {mistakes}"));
        let file = folder.join(format!("{name}.der"));
        std::fs::write(&file, package.encode()).unwrap();
        // What pySim needs besides may stand there already.
        let others = std::env::var("PYTHONPATH").unwrap_or_default();
        let path = format!("{}:{others}", pysim.display());
        let python = "import sys\nfrom pySim.esim.saip import ProfileElementSequence as S\nb = open(sys.argv[1], 'rb').read()\n\
                      s = S.from_der(b)\nassert s.to_der() == b, 'written otherwise'\nprint(len(s.pe_list), 'elements')\n";
        let read = Command::new("python3")
            .env("PYTHONPATH", &path)
            .args(["-c", python])
            .arg(&file)
            .output()
            .unwrap();
        assert!(read.status.success(), "{name}: {}", said(&read));
        // Its checker knows a USIM by the template of that name alone.
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
fn osmo_auc_gen_reckons_what_the_built_usim_does() {
    let rand = "00112233445566778899AABBCCDDEEFF";
    let Ok(answer) = Command::new("osmo-auc-gen")
        .args(["-3", "-a", "MILENAGE", "-k", "000102030405060708090A0B0C0D0E0F"])
        .args(["-O", "101112131415161718191A1B1C1D1E1F", "-s", "32", "-r", rand])
        .output()
    else {
        println!("skipped: there is no osmo-auc-gen (Debian: libosmocore-utils)");
        return;
    };
    let answer = said(&answer);
    let value = |name: &str| {
        let line =
            answer.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{answer}"));
        line.trim().to_owned()
    };
    for (name, description) in descriptions() {
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
