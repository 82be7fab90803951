//! The functions of ES10 as places of faults.

/// The functions of ES10 with the tags of their commands: SGP.22 section 5.7.2, SGP.32 section 5.9.
/// LoadBoundProfilePackage sends the parts of the package, each with a tag of its own.
const FUNCTIONS: [(&str, &str, &[u16]); 29] = [
    ("ES10a", "GetEuiccConfiguredAddresses", &[0xBF3C]),
    ("ES10a", "SetDefaultDpAddress", &[0xBF3F]),
    ("ES10b", "GetEUICCChallenge", &[0xBF2E]),
    ("ES10b", "GetEUICCInfo", &[0xBF20, 0xBF22]),
    ("ES10b", "AuthenticateServer", &[0xBF38]),
    ("ES10b", "PrepareDownload", &[0xBF21]),
    ("ES10b", "LoadBoundProfilePackage", &[0xBF36, 0xA0, 0xA1, 0xA2, 0xA3, 0x86, 0x87, 0x88]),
    ("ES10b", "CancelSession", &[0xBF41]),
    ("ES10b", "ListNotification", &[0xBF28]),
    ("ES10b", "RetrieveNotificationsList", &[0xBF2B]),
    ("ES10b", "RemoveNotificationFromList", &[0xBF30]),
    ("ES10b", "LoadEuiccPackage", &[0xBF51]),
    ("ES10b", "GetEimConfigurationData", &[0xBF55]),
    ("ES10b", "GetCerts", &[0xBF56]),
    ("ES10b", "AddInitialEim", &[0xBF57]),
    ("ES10b", "ProfileRollback", &[0xBF58]),
    ("ES10b", "ConfigureImmediateProfileEnabling", &[0xBF59]),
    ("ES10b", "ImmediateEnable", &[0xBF5A]),
    ("ES10b", "EnableEmergencyProfile", &[0xBF5B]),
    ("ES10b", "DisableEmergencyProfile", &[0xBF5C]),
    ("ES10b", "ExecuteFallbackMechanism", &[0xBF5D]),
    ("ES10b", "ReturnFromFallback", &[0xBF5E]),
    ("ES10b", "GetConnectivityParameters", &[0xBF5F]),
    ("ES10c", "GetProfilesInfo", &[0xBF2D]),
    ("ES10c", "EnableProfile", &[0xBF31]),
    ("ES10c", "DisableProfile", &[0xBF32]),
    ("ES10c", "DeleteProfile", &[0xBF33]),
    ("ES10c", "SetNickname", &[0xBF29]),
    ("ES10c", "GetEID", &[0xBF3E]),
];

/// True if the place is an interface of the card, or a function of one.
pub(super) fn is_card_place(place: &str) -> bool {
    FUNCTIONS.iter().any(|(interface, function, _)| match place.split_once('.') {
        None => place == *interface,
        Some(of) => of == (*interface, *function),
    })
}

/// Returns the interface and the name of the function whose command has this data.
pub(super) fn function_of(data: &[u8]) -> Option<(&'static str, String)> {
    let tag = match data {
        [first @ 0xBF, second, ..] => u16::from_be_bytes([*first, *second]),
        [first, ..] => u16::from(*first),
        [] => return None,
    };
    let (interface, function, _) = FUNCTIONS.iter().find(|(_, _, tags)| tags.contains(&tag))?;
    Some((interface, format!("{interface}.{function}")))
}
