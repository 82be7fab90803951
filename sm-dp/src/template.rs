//! Profiles from templates: an order that finds no available profile gets a new one, personalised
//! from the template of its type in the same transaction.

use profile::{
    Capabilities, InstalledProfile, Mistakes, Package,
    personalise::{SecretSource, Series, personalise},
};
use rsp::ids::Imsi;
use world::{Fault, FaultKind};

use crate::{
    context::Context,
    records::{PROFILES, Profile, SERIES, TEMPLATES, Template},
    stock::{self, ProfileOptions},
};

/// Maximum number of consecutive profiles of a series that an order skips because their ICCIDs are
/// in stock already, added by other means. It limits the reads of one transaction.
const MAX_SKIPPED: u64 = 1000;

/// A profile that was made from a template, and its package (DER).
pub(crate) struct MadeProfile {
    pub(crate) profile: Profile,
    pub(crate) package: Vec<u8>,
}

/// Returns an available profile of the namespace of the call or, if there is none, a new one from the
/// template of the type. A template belongs to all namespaces or to one. An order without a type
/// uses the first template of its namespace. Returns `None` if there is no template either.
///
/// # Errors
/// The records fail, or the template cannot make another profile ([`FaultKind::Usage`]).
pub(crate) async fn available_or_personalised(
    context: &mut Context<'_, '_>,
    requested: Option<&str>,
) -> Result<Option<Profile>, Fault> {
    if let Some(available) =
        stock::any_available(context.tx, context.world, &context.namespace, requested).await?
    {
        return Ok(Some(available));
    }
    let namespace = &context.namespace;
    let is_usable = |template: &Template| template.namespace.as_ref().is_none_or(|own| own == namespace);
    let template = match requested {
        Some(requested) => context.tx.get(&TEMPLATES, requested).await?.filter(is_usable),
        None => {
            let all = context.tx.peek_list(&TEMPLATES, "").await?;
            match all.into_iter().find(|(_, template)| is_usable(template)) {
                Some((profile_type, _)) => context.tx.get(&TEMPLATES, &profile_type).await?.filter(is_usable),
                None => None,
            }
        }
    };
    match template {
        Some(template) => Ok(Some(next(context, &template).await?)),
        None => Ok(None),
    }
}

/// Makes the next profile of a template, and adds it to the stock. Concurrent orders read the same
/// counter, so all but one of them conflict and are run again with the next number.
async fn next(context: &mut Context<'_, '_>, template: &Template) -> Result<Profile, Fault> {
    let address = context.config.server.address.as_str();
    let counters = counters(&template.series);
    let mut first = 0;
    for counter in &counters {
        first = context.tx.get(&SERIES, counter).await?.unwrap_or(0).max(first);
    }
    for number in first..first.saturating_add(MAX_SKIPPED) {
        let row = template.series.row(number).map_err(|mistakes| exhausted(template, &mistakes))?;
        if let Some(iccid) = row.iccid
            && context.tx.get(&PROFILES, &iccid.to_string()).await?.is_some()
        {
            continue;
        }
        let MadeProfile { mut profile, package } = make(address, template, number)?;
        profile.namespace = context.namespace.clone();
        for counter in &counters {
            context.tx.put(&SERIES, counter, &(number + 1))?;
        }
        stock::put(context.tx, &profile, &package).await?;
        if let Some(hook) = context.config.personalised_hook.clone() {
            context.tx.after_commit(move || hook.call(&package));
        }
        return Ok(profile);
    }
    Err(Fault::usage(
        format!("cannot personalise a profile of type {:?}", template.profile_type),
        format!("profiles with the next {MAX_SKIPPED} ICCIDs of its template are in stock already"),
        "delete the template and create it again with another first ICCID",
    ))
}

/// Makes a profile of a template, without adding it to the stock.
pub(crate) fn make(address: &str, template: &Template, number: u64) -> Result<MadeProfile, Fault> {
    let seed = template.seed.expose().try_into().map_err(|_| {
        Fault::new(
            format!("cannot use the template of type {:?}", template.profile_type),
            "its seed does not have 32 octets",
            "delete the template and create it again",
        )
    })?;
    let row = template.series.row(number).map_err(|mistakes| exhausted(template, &mistakes))?;
    let made = personalise(&template.description, &row, &SecretSource::new(seed))
        .map_err(|mistakes| unusable(template, mistakes.to_string()))?;
    let overrides = made.description.metadata.overrides();
    let options = ProfileOptions {
        profile_type: Some(template.profile_type.clone()),
        service_provider_name: overrides.service_provider_name,
        profile_name: overrides.profile_name,
        profile_class: overrides.profile_class,
        profile_policy_rules: overrides.profile_policy_rules,
        fallback_allowed: overrides.fallback_allowed,
        ecall_indication: overrides.ecall_indication,
        icon: overrides.icon,
        notifications: overrides.notifications,
        ..ProfileOptions::default()
    };
    let package = made.package.encode();
    let profile = stock::describe(address, &package, &options)?;
    if row.iccid != Some(profile.iccid) || (row.imsi.is_some() && imsi(&made.package) != row.imsi) {
        let why = "its package has an ICCID or IMSI in a part that cannot be personalised";
        return Err(unusable(template, why.to_owned()));
    }
    Ok(MadeProfile { profile, package })
}

fn imsi(package: &Package) -> Option<Imsi> {
    InstalledProfile::of(package, &Capabilities::default()).ok()?.usim()?.imsi()
}

/// The keys of the counters of a series. Templates with the same numbers share counters.
fn counters(series: &Series) -> Vec<String> {
    let Series { iccid, imsi, msisdn } = series;
    let msisdn = msisdn.iter().map(|first| format!("msisdn/{}", first.trim_start_matches('+')));
    [format!("iccid/{iccid}"), format!("imsi/{imsi}")].into_iter().chain(msisdn).collect()
}

/// True if the fault means that a template cannot make another profile, and not that the server
/// failed.
pub(crate) fn is_unusable(fault: &Fault) -> bool {
    fault.kind == FaultKind::Usage
}

fn exhausted(template: &Template, mistakes: &Mistakes) -> Fault {
    Fault::usage(
        format!("cannot personalise a profile of type {:?}", template.profile_type),
        mistakes.to_string(),
        "create a template with other numbers",
    )
}

fn unusable(template: &Template, why: String) -> Fault {
    Fault::usage(
        format!("cannot personalise a profile of type {:?}", template.profile_type),
        why,
        "correct the description; docs/profile.schema.json describes all names",
    )
}
