//! Every file of every TS.48 profile over APDUs: position, FCP and contents.

use std::collections::BTreeSet;

use profile::{FileKind, FileSystem, Package, ProfileFiles};
use rsp::der::{Tag, tlv};

use super::files::{VERIFY_ADM1, ts48, with_enabled};
use super::server::TestPackage;
use super::testbed::Testbed;
use super::value_notation::{ExpectedFile, ExpectedFiles};

/// The VERIFY PIN commands that together give all access rights of the TS.48 profile.
const CODES: [&str; 3] = [VERIFY_ADM1, "0020000B08 3636363636363636", "0020008108 39393939FFFFFFFF"];

/// Bits of an access mode.
const READ: u8 = 0x01;
const UPDATE: u8 = 0x02;

/// The packages for which GSMA publishes no value notation.
const WITHOUT_VALUE_NOTATION: [&str; 3] =
    ["TS48v2_SAIP2.1_BERTLV", "TS48v4_SAIP2.3_NoBERTLV", "TS48v5_SAIP2.3_BERTLV_SUCI"];

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles (../shared/data/ts48)")]
fn every_file_matches_the_value_notation_of_its_package() {
    let notations = ts48("txt");
    for (name, package) in ts48("der") {
        let notation = notations.iter().find(|(other, _)| *other == name);
        assert_eq!(notation.is_none(), WITHOUT_VALUE_NOTATION.contains(&&*name), "{name}");
        if let Some((_, text)) = notation {
            let expected = ExpectedFiles::read(std::str::from_utf8(text).unwrap());
            check_files(&name, package, &expected, "its value notation");
        }
    }
}

/// Tests the packages without value notation. This test does not check the decoder. It checks only
/// that the card has the files that the decoder found.
#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles (../shared/data/ts48)")]
fn every_file_matches_the_decoded_package() {
    for (name, package) in ts48("der") {
        if WITHOUT_VALUE_NOTATION.contains(&&*name) {
            let files = FileSystem::build(&Package::decode(&package).unwrap()).unwrap();
            check_files(&name, package, &ExpectedFiles::of(&files), "the decoder");
        }
    }
}

fn check_files(name: &str, package: Vec<u8>, expected: &ExpectedFiles, source: &str) {
    let mut check = FileCheck { testbed: with_enabled(&TestPackage::of(package)), expected, name };
    for file in &expected.files {
        check.check(file);
    }
    let directories = check.list();
    let files = expected.files.len();
    let links = expected.files.iter().filter(|file| file.link.is_some()).count();
    let ber_tlv = expected.files.iter().filter(|file| file.is_ber_tlv()).count();
    let closed = expected.files.iter().filter(|file| !expected.allows(file, READ)).count();
    println!(
        "{name}: {files} EFs in {directories} directories match {source}, {links} of them are links, \
         {ber_tlv} have BER-TLV structure, {closed} cannot be read"
    );
    assert!(files > 200, "{name}: {files} files");
}

struct FileCheck<'a> {
    testbed: Testbed,
    expected: &'a ExpectedFiles,
    name: &'a str,
}

impl FileCheck<'_> {
    /// Selects the application of a path, if there is one, and returns the path for SELECT.
    fn path(&mut self, path: &[u16]) -> String {
        let digits = |fids: &[u16]| fids.iter().map(|fid| format!("{fid:04X}")).collect::<String>();
        match path {
            [first, rest @ ..] if self.expected.applications.contains_key(first) => {
                let aid = &self.expected.applications[first];
                self.testbed.expect(&format!("00A4040C{:02X}{aid}", aid.len() / 2), "9000");
                format!("7FFF{}", digits(rest))
            }
            _ => digits(path),
        }
    }

    fn select(&mut self, path: &[u16]) {
        if path.is_empty() {
            return self.testbed.expect("00A4000C023F00", "9000");
        }
        let path = self.path(path);
        self.testbed.expect(&format!("00A4080C{:02X}{path}", path.len() / 2), "9000");
    }

    fn check(&mut self, file: &ExpectedFile) {
        let what = format!("{} {:04X?} {}", self.name, file.path(), file.name);
        // By path.
        let path = self.path(&file.path());
        let fcp = self.testbed.read(&format!("00A40804{:02X}{path}", path.len() / 2));
        let size = self.check_fcp(file, &hex::decode(fcp).unwrap(), &what);
        for code in CODES {
            let answer = self.testbed.apdu(code);
            // PIN2 belongs to applications and to DF.TELECOM.
            assert!(answer == "9000" || answer == "6A88" && code == CODES[2], "{what}: {code} {answer}");
        }
        let content = self.expected.real(file).content(size);
        self.check_content(file, &content, &what);
        // The file is also selected step by step through the directories.
        let steps = self.path(&file.path());
        let (first, rest) = steps.split_at(4);
        self.testbed.expect(&format!("00A4000C02{}", if first == "7FFF" { first } else { "3F00" }), "9000");
        let steps = if first == "7FFF" { rest } else { steps.as_str() };
        for step in steps.as_bytes().chunks(4) {
            self.testbed.expect(&format!("00A4000C02{}", String::from_utf8_lossy(step)), "9000");
        }
        self.check_content(file, &content, &what);
        // The file is also read by its short identifier.
        if let Some(Some(sfi)) = file.sfi
            && self.expected.allows(file, READ)
        {
            self.select(&file.directory);
            match file.record_length() {
                _ if file.is_ber_tlv() => {
                    self.testbed.expect(&format!("80CB00{:02X}015C00", 0x80 | sfi), "5C009000")
                }
                Some(length) => {
                    let record = hex::encode_upper(&content[..length]);
                    self.testbed.expect(&format!("00B201{:02X}00", sfi << 3 | 4), &format!("{record}9000"));
                }
                None => {
                    let start = hex::encode_upper(&content[..size.min(0x10)]);
                    let read = self.testbed.apdu(&format!("00B0{:02X}00{:02X}", 0x80 | sfi, size.min(0x10)));
                    assert_eq!(read, format!("{start}9000"), "{what} by short identifier {sfi}");
                }
            }
        }
    }

    /// Checks the FCP against the package and returns the file size.
    fn check_fcp(&self, file: &ExpectedFile, fcp: &[u8], what: &str) -> usize {
        let (tag, template) = tlv::split(fcp).unwrap();
        assert_eq!(tag, Tag(0x62), "{what}");
        let find = |tag| tlv::split(tlv::find(template, Tag(tag)).unwrap().unwrap()).unwrap().1;
        let size = find(0x80).iter().fold(0, |size, octet| size << 8 | usize::from(*octet));
        let real = self.expected.real(file);
        if let Some(expected) = real.size
            && !file.is_ber_tlv()
        {
            assert_eq!(size, expected, "{what}: size");
        }
        let mut descriptor = real.descriptor.clone();
        if let Some(length) = real.record_length() {
            descriptor.push(u8::try_from(size / length).unwrap());
        }
        assert_eq!(find(0x82), descriptor, "{what}: descriptor");
        assert_eq!(find(0x83), file.fid.to_be_bytes(), "{what}: identifier");
        assert_eq!(find(0x8A), [5], "{what}: life cycle");
        if let Some(rule) = &file.access_rule {
            assert_eq!(find(0x8B), rule, "{what}: access rule");
        }
        if let Some(special) = file.special_information {
            let info = find(0xA5);
            let found = tlv::find(info, Tag(0xC0)).unwrap().unwrap();
            assert_eq!(tlv::split(found).unwrap().1, [special], "{what}: special file information");
        }
        match file.sfi {
            Some(Some(sfi)) => assert_eq!(find(0x88), [sfi << 3], "{what}: short identifier"),
            Some(None) => assert_eq!(find(0x88), [0; 0], "{what}: short identifier"),
            None => {}
        }
        size
    }

    /// Asserts that the current EF has these contents.
    fn check_content(&mut self, file: &ExpectedFile, content: &[u8], what: &str) {
        if !self.expected.allows(file, READ) {
            let command = match file.record_length() {
                _ if file.is_ber_tlv() => "80CB0080015C00",
                Some(_) => "00B2010400",
                None => "00B0000000",
            };
            return self.testbed.expect(command, "6982");
        }
        if file.is_ber_tlv() {
            // The packages contain no objects: the test writes one, lists it, reads it and deletes
            // it.
            assert!(content.is_empty(), "{what}");
            assert_eq!(self.testbed.apdu("80CB0080015C00"), "5C009000", "{what}");
            if !self.expected.allows(file, UPDATE) {
                return self.testbed.expect("80DB0080048002CAFE", "6982");
            }
            self.testbed.expect("80DB0080048002CAFE", "9000");
            self.testbed.expect("80CB0080015C00", "5C01809000");
            self.testbed.expect("80CB0080018000", "8002CAFE9000");
            self.testbed.expect("80DB00800180", "9000");
            return;
        }
        let (length, commands): (_, Vec<String>) = match self.expected.real(file).record_length() {
            Some(length) => {
                let numbers = 1..=content.len() / length;
                (length, numbers.map(|number| format!("00B2{number:02X}04{length:02X}")).collect())
            }
            None => {
                let offsets = (0..content.len()).step_by(0xF0);
                let command = |at| format!("00B0{at:04X}{:02X}", 0xF0.min(content.len() - at));
                (0xF0, offsets.map(command).collect())
            }
        };
        for (command, expected) in commands.iter().zip(content.chunks(length)) {
            let answer = self.testbed.apdu(command);
            assert_eq!(answer, format!("{}9000", hex::encode_upper(expected)), "{what}: {command}");
        }
    }

    /// Asserts that every directory contains exactly the files of the package. Returns the number
    /// of directories.
    fn list(&mut self) -> usize {
        let directories: Vec<Vec<u16>> = self.expected.directories.iter().cloned().chain([vec![]]).collect();
        for directory in &directories {
            let here = self.expected.files.iter().filter(|file| file.directory == *directory);
            let expected: BTreeSet<u16> = here.map(|file| file.fid).collect();
            self.select(directory);
            let candidates = (0x2F00..=0x2FFF).chain(0x4F00..=0x4FFF).chain(0x6F00..=0x6FFF);
            let is_there = |fid: &u16| self.testbed.apdu(&format!("00A4000C02{fid:04X}")) == "9000";
            let found: BTreeSet<u16> = candidates.filter(is_there).collect();
            assert_eq!(found, expected, "{} {directory:04X?}", self.name);
        }
        directories.len()
    }
}

impl ExpectedFiles {
    /// The expected files of a package without value notation, taken from the decoder.
    fn of(files: &ProfileFiles) -> Self {
        let path = |index| files.path_of(index).iter().skip(1).map(|fid| fid.0).collect::<Vec<_>>();
        let mut expected = Self::default();
        for (index, file) in files.all() {
            let mut directory = path(index);
            if file.kind.is_directory() {
                if let FileKind::Adf { aid } = &file.kind {
                    expected.applications.insert(file.fid.0, aid.to_string());
                }
                if !directory.is_empty() {
                    expected.directories.insert(directory);
                }
                continue;
            }
            directory.pop();
            expected.files.push(ExpectedFile::read_from(directory, file, files.content(index).unwrap()));
        }
        expected
    }
}
