//! Several identities in one profile: EF.IDENTITIES, and the applet that reads it.

use std::collections::BTreeSet;

use super::{InstalledPackage, Report, hex, rules};
use crate::element::ProfileElement;
use crate::files::FileIndex;
use crate::identities::{Identities, Identity, PATH, is_applet};

pub(super) fn check(installed: &InstalledPackage<'_>, report: &mut Report) {
    let files = &installed.profile.files;
    let applet = installed
        .elements()
        .find(|(_, element)| matches!(element, ProfileElement::Application(it) if is_applet(it)));
    let Some(table) = files.by_path(&PATH) else {
        if let Some((number, _)) = applet.filter(|_| installed.whole) {
            let what = "the package has the applet, but no file 7F4D/6F1D";
            report.add(&rules::IDENTITIES_MISSING, installed.place(number, ""), what);
        }
        return;
    };
    // The file identifiers are not reserved. If the package has no applet, the file can therefore
    // have another purpose.
    if applet.is_none() {
        return;
    }
    match Identities::decode(files.content(table).unwrap_or_default()) {
        Ok(identities) => Table { installed, table, identities: &identities }.check(report),
        Err(why) => report.add(&rules::IDENTITIES_UNREADABLE, installed.place_of(table), why.to_string()),
    }
}

struct Table<'a, 'p> {
    installed: &'a InstalledPackage<'p>,
    table: FileIndex,
    identities: &'a Identities,
}

impl Table<'_, '_> {
    fn check(&self, report: &mut Report) {
        let mut imsis = BTreeSet::new();
        let mut countries = BTreeSet::new();
        for (number, identity) in (1..).zip(&self.identities.0) {
            let place = || self.installed.place_in(self.table, &format!("identity {number}"));
            if !imsis.insert(identity.imsi) {
                let what = format!("another identity has the IMSI {}", identity.imsi);
                report.add(&rules::IDENTITY_TWICE, place(), what);
            }
            for country in &identity.countries {
                if !countries.insert(*country) {
                    let what = format!("another identity is for {country} too");
                    report.add(&rules::IDENTITY_COUNTRY, place(), what);
                }
            }
            self.keys(number, identity, report);
            self.files(number, identity, report);
        }
        self.default_one(report);
    }

    /// Checks that exactly one identity is for all other countries, and that the profile starts
    /// with this identity.
    fn default_one(&self, report: &mut Report) {
        let place = || self.installed.place_of(self.table);
        let everywhere = self.identities.0.iter().filter(|identity| identity.countries.is_empty());
        match everywhere.count() {
            1 => {}
            count => {
                let what = format!("{count} identities are for all other countries; exactly one must be");
                return report.add(&rules::IDENTITY_DEFAULT, place(), what);
            }
        }
        let own = self.installed.profile.usim().and_then(|usim| usim.imsi());
        let first = self.identities.default_one().map(|identity| identity.imsi);
        if let (Some(own), Some(first)) = (own, first)
            && own != first
        {
            let what = format!("EF.IMSI has {own}, and the identity for all other countries is {first}");
            report.add(&rules::IDENTITY_DEFAULT, place(), what);
        }
    }

    fn keys(&self, number: usize, identity: &Identity, report: &mut Report) {
        let place = || self.installed.place_in(self.table, &format!("identity {number}"));
        let (Some((key, opc)), Some(own)) = (&identity.keys, self.installed.profile.facts.aka.first()) else {
            return;
        };
        let lengths = (key.expose().len(), opc.expose().len());
        let expected = (own.key.expose().len(), own.opc.expose().len());
        if lengths != expected {
            let what = format!(
                "the keys have {} and {} octets, those of the profile {} and {}",
                lengths.0, lengths.1, expected.0, expected.1
            );
            report.add(&rules::IDENTITY_KEYS, place(), what);
        }
    }

    /// Checks that each file of an identity exists and is long enough.
    fn files(&self, number: usize, identity: &Identity, report: &mut Report) {
        let files = &self.installed.profile.files;
        for own in &identity.files {
            let path: String = own.path.iter().map(|fid| format!("/{fid}")).collect();
            let what = match files.by_path(&own.path).map(|file| (files.record(file, 1), files.content(file)))
            {
                Some((Some(record), _)) if record.len() >= own.contents.len() => continue,
                Some((None, Some(content))) if content.len() >= own.contents.len() => continue,
                Some((None, None)) => "the file has no contents".to_owned(),
                Some(_) => format!("the file has no room for {}", hex(&own.contents)),
                None if !self.installed.whole => continue,
                None => "the file does not exist".to_owned(),
            };
            let place = self.installed.place_in(self.table, &format!("identity {number}, 3F00{path}"));
            report.add(&rules::IDENTITY_FILE, place, what);
        }
    }
}
