//! Codes, keys, contents of files.

use profile::Package;
use profile::element::FileSystemKind as Kind;
use profile::element::{
    AlgorithmId, Application, Fcp, KeyComponent, PinCodes, PinCodesChoice, PinKeyReference, ProfileElement,
    PukKeyReference, Service,
};

use super::*;

defects! {
    // Codes.
    "a PIN of letters" in "pinCodes" gives "pin-digits": package {
        pins(package)[0].pin_value = code(b"abcdefgh");
    }
    "a PIN of three digits" in "pinCodes" gives "pin-digits": package {
        pins(package)[0].pin_value = code(b"123\xFF\xFF\xFF\xFF\xFF");
    }
    "a PIN of seven octets" in "pinCodes" gives "bad-value": package {
        pins(package)[0].pin_value = b"1234567".as_slice().into();
    }
    "an unblocking code with padding" in "pukCodes" gives "puk-digits": package {
        puks(package)[0].puk_value = code(b"1234567\xFF");
    }
    "an unblocking code twice" in "pukCodes" gives "bad-value", "puk-missing": package {
        puks(package)[1].key_reference = PukKeyReference::PUK_APPL1;
    }
    "a PIN in the wrong place" in "pinCodes" gives "bad-value", "puk-of-another": package {
        pins(package)[0].key_reference = PinKeyReference::SECOND_PIN_APPL2;
    }
    "a reference to no code" in "pinCodes" gives "code-unknown": package {
        pins(package)[1].key_reference = PinKeyReference(0x20);
        let status = Some(octets("0120"));
        fcp(package, Kind::Mf, "mf").pin_status_template_do = status;
        for (kind, name) in [(Kind::Usim, "adf-usim"), (Kind::Isim, "adf-isim")] {
            fcp(package, kind, name).pin_status_template_do = Some(octets("0181"));
        }
        add_adm(package);
    }
    "default attempts written out" in "pinCodes" gives "default-written": package {
        pins(package)[0].max_attempts_retries_left = Some(0x33);
    }
    "default attempts of an unblocking code written out" in "pukCodes" gives "default-written": package {
        puks(package)[0].max_attempts_retries_left = Some(0xAA);
    }
    "the default life cycle of a file written out" in "usim" gives "default-written": package {
        fcp(package, Kind::Usim, "adf-usim").lcsi = Some(octets("05"));
    }
    "more remaining attempts than the maximum" in "pinCodes" gives "attempts": package {
        pins(package)[0].max_attempts_retries_left = Some(0x35);
    }
    "a PIN that is blocked" in "pinCodes" gives "code-blocked": package {
        pins(package)[0].max_attempts_retries_left = Some(0x30);
    }
    "attributes of four bits" in "pinCodes" gives "pin-attributes": package {
        pins(package)[0].pin_attributes = Some(8);
    }
    "a PIN without an unblocking code" in "pinCodes" gives "pin-without-puk", "puk-unused": package {
        pins(package)[0].unblocking_pin_reference = None;
    }
    "a PIN with the unblocking code of another PIN" in "pinCodes" gives "puk-of-another", "puk-unused": package {
        pins(package)[0].unblocking_pin_reference = Some(PukKeyReference::SECOND_PUK_APPL1);
    }
    "shared codes of a directory without codes" in "pinCodes" gives "pins-of-none", "pin-status-unknown": package {
        for element in &mut package.elements {
            if let ProfileElement::PinCodes(PinCodes { pin_codes: PinCodesChoice::FilePath(path), .. }) = element {
                *path = octets("7FD05FC0");
            }
        }
    }
    "no PIN in the MF" in "" gives "no-pin", "puk-unused", "rule-without-pin": package {
        pins(package).remove(0);
        fcp(package, Kind::Mf, "mf").pin_status_template_do = Some(octets("0A"));
        for (kind, name) in [(Kind::Usim, "adf-usim"), (Kind::Isim, "adf-isim")] {
            fcp(package, kind, name).pin_status_template_do = Some(octets("810A"));
        }
    }

    // Keys.
    "a key of 15 octets" in "akaParameter" gives "bad-value": package {
        algorithm(package).key = (0..15).collect::<Vec<u8>>().into();
    }
    "an OPc of 32 octets" in "akaParameter" gives "bad-value": package {
        algorithm(package).opc = (0..32).collect::<Vec<u8>>().into();
    }
    "TUAK with an OPc of Milenage" in "akaParameter" gives "bad-value", "service-not-listed": package {
        algorithm(package).algorithm_id = AlgorithmId::TUAK;
    }
    "an unknown algorithm" in "akaParameter" gives "not-supported": package {
        algorithm(package).algorithm_id = AlgorithmId(9);
    }
    "two algorithm options" in "akaParameter" gives "bad-value": package {
        algorithm(package).algorithm_options = octets("0102");
    }
    "another number of rotations" in "akaParameter" gives "bad-value": package {
        algorithm(package).rotation_constants = Some(octets("40002040"));
    }
    "a rotation by 128 bits" in "akaParameter" gives "milenage-rotation": package {
        algorithm(package).rotation_constants = Some(octets("8000204060"));
    }
    "two equal functions of Milenage" in "akaParameter" gives "milenage-constants", "milenage-parity": package {
        algorithm(package).rotation_constants = Some(octets("4040204060"));
        algorithm(package).xoring_constants = Some(octets(&["00".repeat(16).repeat(4), "00".repeat(15), "08".to_owned()].concat()));
    }
    "a constant of the wrong parity" in "akaParameter" gives "milenage-parity": package {
        let constants = [0, 1, 3, 4, 8].map(|last: u8| format!("{}{last:02X}", "00".repeat(15))).concat();
        algorithm(package).xoring_constants = Some(octets(&constants));
    }
    "another number of sequence numbers" in "akaParameter" gives "bad-value": package {
        aka(package).sqn_init = Some(vec![octets("000000000000"); 31]);
    }
    "a sequence number of five octets" in "akaParameter" gives "bad-value": package {
        aka(package).sqn_delta = Some(octets("0000000001"));
    }
    "a delta of zero" in "akaParameter" gives "sqn-delta": package {
        aka(package).sqn_delta = Some(octets("000000000000"));
    }
    "an authentication counter of two octets" in "akaParameter" gives "auth-counter": package {
        algorithm(package).auth_counter_max = Some(octets("0100"));
    }
    "a security domain without the privilege of one" in "securityDomain" gives "sd-privilege": package {
        sd(package).instance.application_privileges = octets("02DC00");
    }
    "a domain in an undefined state" in "securityDomain" gives "sd-life-cycle": package {
        sd(package).instance.life_cycle_state = Some(octets("55"));
    }
    "parameters that cannot be read" in "securityDomain" gives "parameters-unreadable": package {
        sd(package).instance.application_specific_parameters_c9 = octets("8105");
    }
    "toolkit parameters that end too early" in "securityDomain" gives
        "parameters-unreadable", "sd-without-tar"
    : package {
        let toolkit = sd(package).instance.application_parameters.as_mut();
        toolkit.unwrap().toolkit = Some(octets("010000000002010206B201"));
    }
    "a key of the domain with 8 octets" in "securityDomain" gives "sd-key-length": package {
        key_list(package)[0].key_components[0].key_data = [1; 8].into();
    }
    "an undefined key type" in "securityDomain" gives "sd-key-type": package {
        key_list(package)[0].key_components[0].key_type = octets("77");
    }
    "a key version of 0" in "securityDomain" gives "sd-key-numbers", "sd-key-set-incomplete": package {
        key_list(package)[0].key_version_number = octets("00");
    }
    "a key twice" in "securityDomain" gives "sd-key-twice": package {
        let again = key_list(package)[0].clone();
        key_list(package).push(again);
    }
    "a key without components" in "securityDomain" gives "sd-key-empty": package {
        key_list(package)[0].key_components = Vec::<KeyComponent>::new();
    }
    "a counter of four octets" in "securityDomain" gives "sd-key-counter": package {
        key_list(package)[0].key_counter_value = Some(octets("00000001"));
    }
    "a MAC of five octets" in "securityDomain" gives "sd-mac-length": package {
        key_list(package)[0].key_components[0].mac_length = Some(5);
    }
    "a key set without integrity" in "securityDomain" gives "sd-key-set-incomplete": package {
        key_list(package).remove(1);
    }
    "a domain without keys" in "securityDomain" gives "sd-without-keys": package {
        sd(package).key_list = None;
    }
    "an instance with a short AID" in "rfm" gives "aid-shape": package {
        rfm_of(package).instance_aid = octets("A0000005");
    }
    "an instance with the AID of another instance" in "rfm" gives "aid-twice": package {
        rfm_of(package).instance_aid = octets("A000000151000000");
    }
    "a TAR of two octets" in "rfm" gives "tar-shape": package {
        rfm_of(package).tar_list = Some(vec![octets("B001")]);
    }
    "a TAR twice" in "rfm" gives "tar-twice": package {
        rfm_of(package).tar_list = Some(vec![octets("B20100")]);
    }
    "a security level of two octets" in "rfm" gives "security-level": package {
        rfm_of(package).minimum_security_level = octets("1600");
    }
    "file management of a missing application" in "rfm" gives "rfm-without-application": package {
        rfm_of(package).adf_rfm_access.as_mut().unwrap().adf_aid = octets("A0000000871002FF49FF0588");
    }
    "an undefined access domain" in "rfm" gives "access-domain": package {
        rfm_of(package).uicc_access_domain = octets("77");
    }
    "an access domain of no octets" in "rfm" gives "access-domain": package {
        rfm_of(package).uicc_access_domain = octets("");
    }
    "file management in a missing domain" in "rfm" gives "sd-unknown": package {
        rfm_of(package).security_domain_aid = Some(octets("A000000151000001"));
    }
    "an application that is not listed" in "header" gives "service-not-listed", "application-not-run": package {
        before_end(package, ProfileElement::Application(Box::new(application())));
    }
    "an instance of a missing load package" in "application" gives "load-package-unknown", "application-not-run": package {
        header(package).mandatory_services.services.push(Service::JAVACARD);
        let mut instance = sd(package).instance.clone();
        instance.application_load_package_aid = octets("A000000559AA02");
        instance.instance_aid = octets("A000000559AA0201");
        instance.application_parameters = None;
        let application = Application { instance_list: Some(vec![instance]), ..application() };
        before_end(package, ProfileElement::Application(Box::new(application)));
    }
    "an application" in "application" gives "application-not-run": package {
        header(package).mandatory_services.services.push(Service::JAVACARD);
        before_end(package, ProfileElement::Application(Box::new(application())));
    }
    "a quota of three octets" in "application" gives "memory-quota", "application-not-run": package {
        header(package).mandatory_services.services.push(Service::JAVACARD);
        let mut application = application();
        application.load_block.as_mut().unwrap().volatile_data_limit_c7 = Some(octets("010000"));
        before_end(package, ProfileElement::Application(Box::new(application)));
    }

    // Contents.
    "an IMSI of the wrong parity" in "usim" gives "imsi": package {
        write(package, Kind::Usim, "ef-imsi", "080110101032547698");
    }
    "an IMSI with a wrong length" in "usim" gives "imsi": package {
        write(package, Kind::Usim, "ef-imsi", "090910101032547698");
    }
    "a network code of four digits" in "usim" gives "mnc-length": package {
        write(package, Kind::Usim, "ef-ad", "00000004");
    }
    "a reserved operation mode" in "usim" gives "operation-mode": package {
        write(package, Kind::Usim, "ef-ad", "55000002");
    }
    "no access class" in "usim" gives "acc-none": package {
        write(package, Kind::Usim, "ef-acc", "0000");
    }
    "access class 10" in "usim" gives "acc-ten": package {
        write(package, Kind::Usim, "ef-acc", "0402");
    }
    "all access classes" in "usim" gives "acc-many": package {
        write(package, Kind::Usim, "ef-acc", "03FF");
    }
    "a name in no alphabet" in "usim" gives "spn": package {
        write(package, Kind::Usim, "ef-spn", "00E92E");
    }
    "a number longer than its record" in "opt-usim" gives "msisdn": package {
        write(package, Kind::OptUsim, "ef-msisdn", "FFFFFFFFFFFFFFFFFFFF0D91FFFF");
    }
    "a service centre without digits" in "usim" gives "smsp": package {
        let item = fill("FFFFFFFFFFFFFFFFFFFFE1FFFFFFFFFFFFFFFFFFFFFFFF00");
        name(package, Kind::Usim, "ef-smsp", vec![item]);
    }
    "a network with letters" in "usim" gives "plmn": package {
        name(package, Kind::Usim, "ef-fplmn", vec![fill("27A4B5")]);
    }
    "service 33 not set" in "usim" gives "ust-33": package {
        ust(package, &[], &[33]);
    }
    "a service without its file" in "usim" gives "service-without-file": package {
        ust(package, &[17], &[]);
    }
    "a file without its service" in "opt-usim" gives "file-without-service": package {
        ust(package, &[], &[21]);
    }
    "a service without the service that it requires" in "usim" gives "service-depends", "service-without-file": package {
        ust(package, &[3], &[]);
    }
    "a service enabled that is not available" in "usim" gives "est": package {
        write(package, Kind::Usim, "ef-est", "01");
    }

    // SUCI.
    "SUCI information that cannot be read" in "df-saip" gives
        "suci-unreadable", "suci-service-not-used"
    : package {
        write(package, Kind::DfSaip, "ef-suci-calc-info-usim", "A00301010000");
    }
    "no protection scheme" in "df-saip" gives "suci-no-scheme", "suci-service-not-used": package {
        write(package, Kind::DfSaip, "ef-suci-calc-info-usim", "A000");
    }
    "a protection scheme that is reserved" in "df-saip" gives "suci-scheme", "suci-service-not-used": package {
        write(package, Kind::DfSaip, "ef-suci-calc-info-usim", &SUCI.replacen("0101", "0501", 1));
    }
    "a scheme without its key" in "df-saip" gives "suci-key-missing", "suci-key-unused": package {
        write(package, Kind::DfSaip, "ef-suci-calc-info-usim", &SUCI.replacen("0101", "0102", 1));
    }
    "a key of another scheme" in "df-saip" gives
        "suci-key-length", "service-not-listed", "suci-service-not-used"
    : package {
        write(package, Kind::DfSaip, "ef-suci-calc-info-usim", &SUCI.replacen("0101", "0201", 1));
    }
    "a key that no scheme names" in "df-saip" gives "suci-key-unused", "suci-service-not-used": package {
        write(package, Kind::DfSaip, "ef-suci-calc-info-usim", &SUCI.replacen("A00401010000", "A0020000", 1));
    }
    "no SUCI information for the USIM" in "usim" gives "suci-missing", "suci-service-not-used": package {
        files(package, Kind::DfSaip).files.truncate(1);
    }
    "SUCI information for both" in "df-5gs" gives "suci-for-both": package {
        let size = Fcp { ef_file_size: Some(octets("30")), ..Fcp::default() };
        name(package, Kind::Df5gs, "ef-suci-calc-info", vec![descriptor(size), fill(SUCI)]);
    }
    "SUCI information without the service" in "df-saip" gives
        "suci-not-available", "suci-service-not-used", "file-without-service"
    : package {
        ust(package, &[], &[124, 125]);
    }
    "a routing indicator with letters" in "df-5gs" gives "routing-indicator": package {
        write(package, Kind::Df5gs, "ef-routing-indicator", "1AFF0000");
    }
}
