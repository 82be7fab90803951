//! Keys of network access applications and security domains, and addresses (TAR, AID) of
//! applications.

use rsp::der::tlv;

use super::{InstalledPackage, Report, hex, rules};
use crate::element::{
    AkaParameter, AlgoConfiguration, AlgoParameter, AlgorithmId, Application, ApplicationInstance, KeyObject,
    ProfileElement, Rfm, SecurityDomain,
};
use crate::files::FileKind;
use crate::identities::is_applet;
use crate::octets::Octets;

pub(super) fn check(installed: &InstalledPackage<'_>, report: &mut Report) {
    let mut packages: Vec<&Octets> = Vec::new();
    let header = installed.package.header();
    packages.extend(header.and_then(|h| h.mandatory_aids.as_ref()).into_iter().flatten().map(|aid| &aid.aid));
    let mut taken = Taken::default();
    for (number, element) in installed.elements() {
        let mut at = At { installed, number, report };
        match element {
            ProfileElement::AkaParameter(parameter) => at.aka(parameter),
            ProfileElement::SecurityDomain(domain) => {
                at.security_domain(domain);
                taken.aid(&mut at, &domain.instance.instance_aid);
                for tar in toolkit_tars(&domain.instance).unwrap_or_default() {
                    taken.tar(&mut at, &tar);
                }
            }
            ProfileElement::Rfm(rfm) => {
                at.rfm(rfm);
                taken.aid(&mut at, &rfm.instance_aid);
                for tar in rfm.tar_list.iter().flatten() {
                    taken.tar(&mut at, tar);
                }
            }
            ProfileElement::Application(application) => {
                packages.extend(application.load_block.iter().map(|block| &block.load_package_aid));
                at.application(application, &packages);
                for instance in application.instance_list.iter().flatten() {
                    taken.aid(&mut at, &instance.instance_aid);
                    for tar in toolkit_tars(instance).unwrap_or_default() {
                        taken.tar(&mut at, &tar);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The TARs and AIDs that earlier PEs use.
#[derive(Default)]
struct Taken {
    aids: Vec<Octets>,
    tars: Vec<Octets>,
}

impl Taken {
    fn aid(&mut self, at: &mut At<'_, '_>, aid: &Octets) {
        if self.aids.contains(aid) {
            at.add(&rules::AID_TWICE, "instanceAID", format!("another instance has the AID {aid}"));
        }
        self.aids.push(aid.clone());
    }

    fn tar(&mut self, at: &mut At<'_, '_>, tar: &Octets) {
        if self.tars.contains(tar) {
            at.add(&rules::TAR_TWICE, "TAR", format!("{tar} is another's"));
        }
        self.tars.push(tar.clone());
    }
}

/// The TARs in the toolkit parameters of an instance: TS 102 226 section 8.2.1.3.2.2.1; `None` if
/// they cannot be parsed.
fn toolkit_tars(instance: &ApplicationInstance) -> Option<Vec<Octets>> {
    let Some(field) = instance.application_parameters.as_ref().and_then(|it| it.toolkit.as_ref()) else {
        return Some(Vec::new());
    };
    // The field has the priority, the number of timers, the length of menu texts, the menu entries
    // with position and identifier, and the number of channels.
    let entries = usize::from(*field.get(3)?);
    let rest = field.get(entries.checked_mul(2)?.checked_add(5)?..)?;
    // The security level and the TARs, each after its length.
    let (level, rest) = rest.split_first()?;
    let (tars, rest) = rest.get(usize::from(*level)..)?.split_first()?;
    let (tars, []) = rest.get(..usize::from(*tars))?.as_chunks::<3>() else { return None };
    Some(tars.iter().map(|tar| Octets(tar.to_vec())).collect())
}

/// The current PE.
struct At<'a, 'p> {
    installed: &'a InstalledPackage<'p>,
    number: usize,
    report: &'a mut Report,
}

impl At<'_, '_> {
    fn add(&mut self, rule: &super::Rule, at: &str, what: impl Into<String>) {
        self.report.add(rule, self.installed.place(self.number, at), what);
    }

    fn aka(&mut self, parameter: &AkaParameter) {
        if let Some(delta) = parameter.sqn_delta.as_ref().filter(|delta| delta.iter().all(|it| *it == 0)) {
            self.add(&rules::SQN_DELTA, "sqnDelta", format!("{delta}"));
        }
        if let AlgoConfiguration::AlgoParameter(own) = &parameter.algo_configuration {
            self.algorithm(own);
        }
    }

    fn algorithm(&mut self, own: &AlgoParameter) {
        let is_milenage = own.algorithm_id == AlgorithmId::MILENAGE;
        if !is_milenage && let [options @ 3..=0xFF] = own.algorithm_options.0.as_slice() {
            self.add(&rules::ALGORITHM_OPTIONS, "algorithmOptions", format!("the value is {options:02X}"));
        }
        if own.algorithm_id != AlgorithmId::USIM_TEST_ALGORITHM {
            for (name, value) in [("key", own.key.expose()), ("opc", own.opc.expose())] {
                if !value.is_empty() && value.iter().all(|octet| Some(octet) == value.first()) {
                    self.add(&rules::KEY_BLANK, name, "the key consists of one repeated octet");
                }
            }
        }
        if own.auth_counter_max.as_ref().is_some_and(|counter| counter.len() != 3) {
            self.add(&rules::AUTH_COUNTER, "authCounterMax", "authCounterMax does not have three octets");
        }
        if !is_milenage && (own.rotation_constants.is_some() || own.xoring_constants.is_some()) {
            let what = format!("{} has no constants", own.algorithm_id);
            self.add(&rules::CONSTANTS_UNUSED, "rotationConstants", what);
        }
        // If the package omits the constants, those of TS 35.206 apply. Wrong lengths are reported
        // by the installation, not here.
        let rotations = own.rotation_constants.as_ref().map_or(&ROTATIONS[..], |given| given);
        let constants =
            own.xoring_constants.as_ref().map_or_else(standard_constants, |given| given.0.clone());
        let constants: Vec<&[u8]> = constants.chunks(16).collect();
        if !is_milenage || (rotations.len(), constants.len()) != (5, 5) {
            return;
        }
        if let Some(rotation) = rotations.iter().find(|rotation| **rotation >= 128) {
            self.add(&rules::ROTATION, "rotationConstants", format!("{rotation:02X} is {rotation} bits"));
        }
        let pairs: Vec<_> = rotations.iter().zip(&constants).collect();
        for (number, pair) in pairs.iter().enumerate() {
            if pairs.iter().take(number).any(|other| other == pair) {
                let what = format!("another function has the same r{0} and c{0}", number + 1);
                self.add(&rules::CONSTANTS_EQUAL, "xoringConstants", what);
            }
        }
        for (number, constant) in constants.iter().enumerate() {
            let ones: u32 = constant.iter().map(|octet| octet.count_ones()).sum();
            if (ones % 2 == 1) != (number > 0) {
                let what = format!("c{} is {}", number + 1, hex(constant));
                self.add(&rules::CONSTANTS_PARITY, "xoringConstants", what);
            }
        }
    }

    fn instance(&mut self, instance: &ApplicationInstance) {
        for (name, aid) in [
            ("applicationLoadPackageAID", &instance.application_load_package_aid),
            ("classAID", &instance.class_aid),
            ("instanceAID", &instance.instance_aid),
        ] {
            self.aid(name, aid);
        }
        if tlv::each(&instance.application_specific_parameters_c9).is_err() {
            let what = hex(&instance.application_specific_parameters_c9);
            self.add(&rules::PARAMETERS_UNREADABLE, "applicationSpecificParametersC9", what);
        }
        if toolkit_tars(instance).is_none() {
            let at = "uiccToolkitApplicationSpecificParametersField";
            self.add(&rules::PARAMETERS_UNREADABLE, at, "a length in the parameters exceeds their end");
        }
        if let Some(system) = &instance.system_specific_parameters {
            for (name, quota) in [
                ("volatileMemoryQuotaC7", &system.volatile_memory_quota_c7),
                ("nonVolatileMemoryQuotaC8", &system.non_volatile_memory_quota_c8),
                ("volatileReservedMemory", &system.volatile_reserved_memory),
                ("nonVolatileReservedMemory", &system.non_volatile_reserved_memory),
            ] {
                self.quota(name, quota.as_ref());
            }
        }
    }

    fn quota(&mut self, name: &str, quota: Option<&Octets>) {
        if let Some(quota) = quota.filter(|quota| !matches!(quota.len(), 2 | 4)) {
            self.add(&rules::MEMORY_QUOTA, name, format!("{quota} has {} octets", quota.len()));
        }
    }

    fn aid(&mut self, name: &str, aid: &Octets) {
        if !(5..=16).contains(&aid.len()) {
            self.add(&rules::AID_SHAPE, name, format!("an AID of {} octets", aid.len()));
        }
    }

    fn security_domain(&mut self, domain: &SecurityDomain) {
        self.instance(&domain.instance);
        let privileges = &domain.instance.application_privileges;
        let is_domain = privileges.first().is_some_and(|first| first & 0x80 != 0);
        if !is_domain || !matches!(privileges.len(), 1 | 3) {
            self.add(&rules::SD_PRIVILEGE, "applicationPrivileges", format!("{privileges}"));
        }
        if let Some(state) = &domain.instance.life_cycle_state
            && !matches!(state.0.as_slice(), [0x07 | 0x0F])
        {
            self.add(&rules::LIFE_CYCLE, "lifeCycleState", format!("{state}"));
        }
        let keys = domain.key_list.as_deref().unwrap_or_default();
        if keys.is_empty() {
            self.add(&rules::SD_WITHOUT_KEYS, "keyList", "the security domain has no keys");
        }
        for (number, key) in keys.iter().enumerate() {
            self.key(key);
            let same = |other: &&KeyObject| {
                (&other.key_version_number, &other.key_identifier)
                    == (&key.key_version_number, &key.key_identifier)
            };
            if keys.iter().take(number).any(|other| same(&other)) {
                self.add(&rules::KEY_TWICE, &name_of(key), "another key has the same version and identifier");
            }
        }
        self.key_sets(keys);
        let by_air = keys.iter().any(|key| matches!(key.key_version_number.0.as_slice(), [1..=0x0F]));
        let aid = &domain.instance.instance_aid;
        let in_toolkit = toolkit_tars(&domain.instance).is_some_and(|tars| !tars.is_empty());
        if by_air && !in_toolkit && aid.len() < 15 {
            let what = format!("has over-the-air keys, but {aid} has no TAR");
            self.add(&rules::SD_WITHOUT_TAR, "applicationParameters", what);
        }
    }

    /// Checks the key sets of TS 102 225 (versions 01 to 0F) and of SCP02 and SCP03 (20 to 3F).
    fn key_sets(&mut self, keys: &[KeyObject]) {
        let mut versions: Vec<u8> = Vec::new();
        for key in keys {
            if let [version @ (1..=0x0F | 0x20..=0x3F)] = key.key_version_number.0.as_slice()
                && !versions.contains(version)
            {
                versions.push(*version);
            }
        }
        for version in versions {
            let has = |identifier: u8| {
                keys.iter().any(|key| {
                    (key.key_version_number.0.as_slice(), key.key_identifier.0.as_slice())
                        == (&[version], &[identifier])
                })
            };
            for identifier in [1, 2].into_iter().filter(|identifier| !has(*identifier)) {
                let what = format!("key set {version:02X} has no key {identifier:02X}");
                self.add(&rules::KEY_SET_INCOMPLETE, "keyList", what);
            }
        }
    }

    fn key(&mut self, key: &KeyObject) {
        let at = name_of(key);
        let is_number = |octets: &Octets| matches!(octets.0.as_slice(), [1..=0x7F]);
        if !is_number(&key.key_version_number) || !is_number(&key.key_identifier) {
            self.add(
                &rules::KEY_NUMBERS,
                &at,
                "the version and the identifier are not one octet each, 01 to 7F",
            );
        }
        if key.key_counter_value.as_ref().is_some_and(|counter| counter.len() != 5) {
            self.add(&rules::KEY_COUNTER, &at, "keyCounterValue does not have five octets");
        }
        if key.key_components.is_empty() {
            self.add(&rules::KEY_EMPTY, &at, "the key has no components");
        }
        for component in &key.key_components {
            let length = component.key_data.expose().len();
            let fits = match component.key_type.0.as_slice() {
                [0x80 | 0x82 | 0x83] => matches!(length, 16 | 24),
                [0x84] => matches!(length, 8 | 16 | 24),
                [0x88] => matches!(length, 16 | 24 | 32),
                // Keys of TLS and HMAC can have any length; TS 102 226 requires at least 16 bytes.
                [0x85] => length >= 16,
                [0x90 | 0xA0..=0xA8 | 0xB0..=0xBF | 0xF0 | 0xF1] => length > 0,
                other => {
                    let what = format!("key type {} is unknown", hex(other));
                    self.add(&rules::KEY_TYPE, &at, what);
                    true
                }
            };
            if !fits {
                let what = format!("a key of type {} with {length} octets", component.key_type);
                self.add(&rules::KEY_LENGTH, &at, what);
            }
            if let Some(length) = component.mac_length.filter(|length| !matches!(length, 4 | 8)) {
                self.add(&rules::MAC_LENGTH, &at, format!("macLength is {length}"));
            }
        }
    }

    fn rfm(&mut self, rfm: &Rfm) {
        self.aid("instanceAID", &rfm.instance_aid);
        for tar in rfm.tar_list.iter().flatten().filter(|tar| tar.len() != 3) {
            self.add(&rules::TAR_SHAPE, "tarList", format!("{tar} has {} octets", tar.len()));
        }
        if rfm.minimum_security_level.len() != 1 {
            self.add(
                &rules::SECURITY_LEVEL,
                "minimumSecurityLevel",
                format!("{}", rfm.minimum_security_level),
            );
        }
        self.domain("uiccAccessDomain", &rfm.uicc_access_domain);
        self.domain("uiccAdminAccessDomain", &rfm.uicc_admin_access_domain);
        let Some(access) = &rfm.adf_rfm_access else { return };
        self.domain("adfAccessDomain", &access.adf_access_domain);
        self.domain("adfAdminAccessDomain", &access.adf_admin_access_domain);
        let is_there = self
            .installed
            .profile
            .files
            .all()
            .any(|(_, file)| matches!(&file.kind, FileKind::Adf { aid } if aid == &access.adf_aid));
        if self.installed.whole && !is_there {
            let what = format!("the package has no application {}", access.adf_aid);
            self.add(&rules::RFM_APPLICATION, "adfAID", what);
        }
    }

    fn domain(&mut self, name: &str, domain: &Octets) {
        if !matches!(domain.first(), Some(0x00 | 0x01 | 0x02 | 0xFF)) {
            self.add(&rules::ACCESS_DOMAIN, name, format!("{domain}"));
        }
    }

    fn application(&mut self, application: &Application, packages: &[&Octets]) {
        if !is_applet(application) {
            self.add(&rules::APPLICATION_NOT_RUN, "", format!("{application} is stored and not run"));
        }
        if let Some(block) = &application.load_block {
            self.aid("loadPackageAID", &block.load_package_aid);
            self.quota("nonVolatileCodeLimitC6", block.non_volatile_code_limit_c6.as_ref());
            self.quota("volatileDataLimitC7", block.volatile_data_limit_c7.as_ref());
            self.quota("nonVolatileDataLimitC8", block.non_volatile_data_limit_c8.as_ref());
            if let Some(hash) = &block.hash_value
                && !matches!(hash.len(), 20 | 32 | 48 | 64)
            {
                self.add(&rules::LOAD_HASH, "hashValue", format!("a hash of {} octets", hash.len()));
            }
        }
        for instance in application.instance_list.iter().flatten() {
            self.instance(instance);
            if !packages.contains(&&instance.application_load_package_aid) {
                let what = format!("no earlier PE loads {}", instance.application_load_package_aid);
                self.add(&rules::LOAD_PACKAGE, "applicationLoadPackageAID", what);
            }
        }
    }
}

fn name_of(key: &KeyObject) -> String {
    format!("key {}/{}", key.key_version_number, key.key_identifier)
}

/// r1 to r5 of TS 35.206 section 4.1.
const ROTATIONS: [u8; 5] = [0x40, 0x00, 0x20, 0x40, 0x60];

/// c1 to c5 of the same section.
fn standard_constants() -> Vec<u8> {
    [0u8, 1, 2, 4, 8].iter().flat_map(|last| [&[0; 15][..], &[*last]].concat()).collect()
}
