//! A parser for the ASN.1 value notation of profile packages. It is a second source for the
//! expected files that shares no code with the decoder, the templates and the file system.

use std::collections::{BTreeMap, BTreeSet};

use profile::File;

/// An ASN.1 value, in the forms that profile packages use.
#[derive(Clone, Debug)]
enum Value {
    Octets(Vec<u8>),
    /// A number, a name or a string.
    Word(String),
    /// The named values inside braces.
    Block(Vec<(Option<String>, Value)>),
}

/// An EF as described by its package. Properties that the package leaves to the templates are
/// `None`.
#[derive(Clone, Debug)]
pub(super) struct ExpectedFile {
    /// The identifiers from the MF to the directory; an ADF with its temporary identifier.
    pub(super) directory: Vec<u16>,
    pub(super) fid: u16,
    pub(super) name: String,
    /// Tag 82.
    pub(super) descriptor: Vec<u8>,
    pub(super) size: Option<usize>,
    pub(super) sfi: Option<Option<u8>>,
    /// Tag 8B.
    pub(super) access_rule: Option<Vec<u8>>,
    pub(super) special_information: Option<u8>,
    /// The pattern that fills the file, or each record, initially.
    pattern: Pattern,
    /// The offsets and contents written to the file.
    writes: Vec<(usize, Vec<u8>)>,
    pub(super) link: Option<Vec<u16>>,
}

#[derive(Clone, Debug)]
enum Pattern {
    /// The pattern is written once, and its last octet is repeated to the end.
    Fill(Vec<u8>),
    /// Repeated.
    Repeat(Vec<u8>),
}

/// The files of a package.
#[derive(Debug, Default)]
pub(super) struct ExpectedFiles {
    pub(super) files: Vec<ExpectedFile>,
    /// AIDs by temporary identifier.
    pub(super) applications: BTreeMap<u16, String>,
    /// Every directory below the MF.
    pub(super) directories: BTreeSet<Vec<u16>>,
}

impl ExpectedFile {
    pub(super) fn path(&self) -> Vec<u16> {
        [self.directory.as_slice(), &[self.fid]].concat()
    }

    /// The expected file for a package without value notation.
    pub(super) fn read_from(directory: Vec<u16>, file: &File, content: &[u8]) -> Self {
        Self {
            directory,
            fid: file.fid.0,
            name: file.name.clone().unwrap_or_default(),
            descriptor: file.descriptor.to_vec(),
            size: Some(content.len()),
            sfi: Some(file.sfi),
            access_rule: file.access_rule.map(|rule| rule.octets().to_vec()),
            special_information: Some(file.special_information),
            pattern: Pattern::Fill(vec![0xFF]),
            writes: vec![(0, content.to_vec())],
            link: None,
        }
    }

    /// The record length, if the file has records.
    pub(super) fn record_length(&self) -> Option<usize> {
        match self.descriptor[..] {
            [0x42 | 0x46, 0x21, high, low] => Some(usize::from(high) << 8 | usize::from(low)),
            _ => None,
        }
    }

    pub(super) fn is_ber_tlv(&self) -> bool {
        self.descriptor[0] == 0x79
    }

    /// The contents of a file of this size.
    pub(super) fn content(&self, size: usize) -> Vec<u8> {
        let unit = self.record_length().unwrap_or(size).max(1);
        let filled: Vec<u8> = match &self.pattern {
            Pattern::Fill(start) => {
                let last = std::iter::repeat(start[start.len() - 1]);
                start.iter().copied().chain(last).take(unit).collect()
            }
            Pattern::Repeat(octets) => octets.iter().copied().cycle().take(unit).collect(),
        };
        let mut content = filled.repeat(size / unit);
        for (at, octets) in &self.writes {
            content[*at..at + octets.len()].copy_from_slice(octets);
        }
        content
    }
}

impl ExpectedFiles {
    pub(super) fn read(text: &str) -> Self {
        let tokens = tokens(text);
        let mut at = 0;
        let mut files = Self::default();
        let mut usim = 0;
        let mut last_adf = 0;
        while at < tokens.len() {
            assert_eq!(tokens[at + 2], "::=");
            let kind = tokens[at + 3].clone();
            at += 5;
            let Value::Block(elements) = value(&tokens, &mut at) else { panic!("{kind} has no braces") };
            let base = match kind.as_str() {
                "opt-usim" | "gsm-access" | "df-5gs" | "df-saip" => vec![usim],
                "opt-csim" | "opt-isim" => vec![last_adf],
                _ => vec![],
            };
            match kind.as_str() {
                "genericFileManagement" => files.by_path(&elements),
                "mf" | "telecom" | "usim" | "opt-usim" | "gsm-access" | "df-5gs" | "df-saip" | "csim"
                | "opt-csim" | "isim" | "opt-isim" => {
                    let adf = files.by_template(&elements, base);
                    last_adf = adf.unwrap_or(last_adf);
                    if kind == "usim" {
                        usim = last_adf;
                    }
                }
                _ => {}
            }
        }
        files
    }

    /// Adds the files of an element with a template. Returns the identifier of the ADF, if there is
    /// one.
    fn by_template(&mut self, elements: &[(Option<String>, Value)], base: Vec<u16>) -> Option<u16> {
        let mut adf = None;
        let (mut base, mut directory, mut has_directory) = (base.clone(), base, false);
        for (name, steps) in elements {
            let name = name.as_deref().unwrap();
            let Value::Block(steps) = steps else { continue };
            if name.ends_with("eader") || name == "templateID" || name == "mf" {
                continue;
            }
            let fcp = steps.iter().find(|(step, _)| step.as_deref() == Some("fileDescriptor"));
            let fcp = &fcp.unwrap_or_else(|| panic!("{name} has no descriptor")).1;
            let fid = fid(fcp);
            if name.starts_with("df-") || name.starts_with("adf-") {
                let own = [base.as_slice(), &[fid]].concat();
                if let Some(aid) = octets(fcp, "dfName") {
                    self.applications.insert(fid, hex::encode_upper(aid));
                    adf = Some(fid);
                }
                self.directories.insert(own.clone());
                if !has_directory {
                    base.clone_from(&own);
                }
                (directory, has_directory) = (own, true);
                continue;
            }
            self.create(directory.clone(), name, fcp, false);
            let mut position = 0;
            for (step, value) in steps {
                self.write(step.as_deref().unwrap(), value, &mut position);
            }
        }
        adf
    }

    fn by_path(&mut self, elements: &[(Option<String>, Value)]) {
        let commands =
            elements.iter().find(|(name, _)| name.as_deref() == Some("fileManagementCMD")).unwrap();
        let Value::Block(commands) = &commands.1 else { panic!("no commands") };
        let mut directory = vec![];
        for (_, commands) in commands {
            let Value::Block(commands) = commands else { panic!("no commands") };
            let mut position = 0;
            for (step, value) in commands {
                let step = step.as_deref().unwrap();
                match (step, value) {
                    ("filePath", Value::Octets(octets)) => directory = path(octets),
                    ("createFCP", fcp) => {
                        position = 0;
                        let descriptor = octets(fcp, "fileDescriptor").unwrap();
                        if descriptor[0] & 0x38 == 0x38 && descriptor[0] != 0x79 {
                            directory.push(fid(fcp));
                            assert!(child(fcp, "linkPath").is_none(), "a directory that is a link");
                            self.directories.insert(directory.clone());
                        } else {
                            self.create(directory.clone(), "(by path)", fcp, true);
                        }
                    }
                    _ => self.write(step, value, &mut position),
                }
            }
        }
    }

    fn create(&mut self, directory: Vec<u16>, name: &str, fcp: &Value, by_path: bool) {
        let own = fid(fcp);
        let info = child(fcp, "proprietaryEFInfo");
        let of_info = |name: &str| info.and_then(|info| octets(info, name));
        let pattern = match (of_info("fillPattern"), of_info("repeatPattern")) {
            (Some(octets), None) => Pattern::Fill(octets),
            (None, Some(octets)) => Pattern::Repeat(octets),
            (None, None) => Pattern::Fill(vec![0xFF]),
            _ => panic!("two patterns"),
        };
        let usable = |sfi: u8| (1..=30).contains(&sfi).then_some(sfi);
        let sfi = match octets(fcp, "shortEFID").as_deref() {
            Some([]) => Some(None),
            Some([octet]) => Some(usable(octet >> 3)),
            Some(_) => panic!("a long short identifier"),
            None if by_path => Some(usable((own & 0x1F) as u8)),
            None => None,
        };
        self.files.push(ExpectedFile {
            directory,
            fid: own,
            name: name.to_owned(),
            descriptor: octets(fcp, "fileDescriptor").unwrap(),
            size: octets(fcp, "efFileSize").map(|octets| number(&octets)),
            sfi,
            access_rule: octets(fcp, "securityAttributesReferenced"),
            special_information: of_info("specialFileInformation").map(|octets| octets[0]),
            pattern,
            writes: vec![],
            link: octets(fcp, "linkPath").filter(|link| !link.is_empty()).as_deref().map(path),
        });
    }

    fn write(&mut self, step: &str, value: &Value, position: &mut usize) {
        match (step, value) {
            ("fillFileOffset", Value::Word(offset)) => *position += offset.parse::<usize>().unwrap(),
            ("fillFileContent", Value::Octets(octets)) => {
                let file = self.files.last_mut().unwrap();
                file.writes.push((*position, octets.clone()));
                *position += octets.len();
            }
            ("fileDescriptor", _) => {}
            _ => panic!("step {step}"),
        }
    }

    /// True if the access rule of a file has this bit of the access mode: 01 to read, 02 to update.
    /// Some files cannot be read at all.
    pub(super) fn allows(&self, file: &ExpectedFile, mode: u8) -> bool {
        let rule = file.access_rule.as_ref().unwrap();
        let arr = |directory: &[u16]| {
            let is_it =
                |other: &&ExpectedFile| other.directory == directory && other.fid == path(&rule[..2])[0];
            self.files.iter().find(is_it)
        };
        let arr = (0..=file.directory.len()).rev().find_map(|depth| arr(&file.directory[..depth])).unwrap();
        let length = arr.record_length().unwrap();
        let content = arr.content(arr.size.unwrap());
        let mut rest = &content[(usize::from(rule[2]) - 1) * length..][..length];
        while let [tag, length, first, ..] = *rest
            && tag != 0xFF
        {
            if tag == 0x80 && first & mode != 0 {
                return true;
            }
            rest = &rest[2 + usize::from(length)..];
        }
        false
    }

    /// Returns the file that has the contents of this one: the file itself, or the target of its
    /// link.
    pub(super) fn real<'a>(&'a self, file: &'a ExpectedFile) -> &'a ExpectedFile {
        match &file.link {
            Some(link) => self.real(self.files.iter().find(|other| other.path() == *link).unwrap()),
            None => file,
        }
    }
}

fn child<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Block(items) = value else { panic!("no braces around {name}") };
    items.iter().find(|(own, _)| own.as_deref() == Some(name)).map(|(_, value)| value)
}

fn octets(value: &Value, name: &str) -> Option<Vec<u8>> {
    match child(value, name)? {
        Value::Octets(octets) => Some(octets.clone()),
        other => panic!("{name} is {other:?}"),
    }
}

fn fid(fcp: &Value) -> u16 {
    number(&octets(fcp, "fileID").unwrap()) as u16
}

fn number(octets: &[u8]) -> usize {
    octets.iter().fold(0, |number, octet| number << 8 | usize::from(*octet))
}

fn path(octets: &[u8]) -> Vec<u16> {
    octets.chunks(2).map(|pair| number(pair) as u16).collect()
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' => rest.find("'H").unwrap() + 2,
            '"' => rest[1..].find('"').unwrap() + 2,
            '{' | '}' | ',' => 1,
            ':' if rest.starts_with("::=") => 3,
            ':' => 1,
            _ => rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len()),
        };
        assert!(length > 0, "cannot read {:?}", &rest[..rest.len().min(20)]);
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    tokens
}

fn value(tokens: &[String], at: &mut usize) -> Value {
    let token = &tokens[*at];
    *at += 1;
    if let Some(digits) = token.strip_prefix('\'').and_then(|rest| rest.strip_suffix("'H")) {
        return Value::Octets(hex::decode(digits).unwrap());
    }
    if token != "{" {
        return Value::Word(token.clone());
    }
    let mut items = Vec::new();
    loop {
        match tokens[*at].as_str() {
            "}" => {
                *at += 1;
                return Value::Block(items);
            }
            "," => *at += 1,
            name => {
                let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
                    && !matches!(tokens[*at + 1].as_str(), "," | "}");
                let name = is_name.then(|| name.to_owned());
                if is_name {
                    *at += if tokens[*at + 1] == ":" { 2 } else { 1 };
                }
                items.push((name, value(tokens, at)));
            }
        }
    }
}
