//! Order, header, files.

use profile::element::FileSystemKind as Kind;
use profile::element::{
    CdmaParameter, Fcp, FileItem, FileManagement, IotOptions, MandatoryAid, NonStandard, PeHeader,
    ProfileElement, ProprietaryInfo, PukKeyReference, Service, UnknownElement,
};
use profile::{Fid, Oid, Package};
use rsp::der::{Null, Tag, Unknown};

use super::*;

defects! {
    // Order.
    "no header" in "mf" gives "out-of-order": package {
        package.elements.remove(0);
    }
    "two headers" in "header" gives "out-of-order": package {
        let header = package.elements[0].clone();
        package.elements.insert(1, header);
    }
    "no end" in "" gives "no-end": package {
        package.elements.pop();
    }
    "something after the end" in "pukCodes" gives "out-of-order", "puk-codes-twice", "sd-too-early": package {
        let again = package.elements[2].clone();
        package.elements.push(again);
    }
    "an identification twice" in "usim" gives "bad-value": package {
        files(package, Kind::Usim).header.identification = 1;
    }
    "an identification too large" in "usim" gives "bad-value": package {
        files(package, Kind::Usim).header.identification = 0x8000;
    }
    "unblocking codes before the MF" in "pukCodes" gives "codes-before-mf": package {
        swap(package, "mf", "pukCodes");
    }
    "PINs before their unblocking codes" in "pinCodes" gives "puk-missing": package {
        swap(package, "pukCodes", "pinCodes");
    }
    "unblocking codes in two PEs" in "pukCodes" gives "puk-codes-twice", "puk-unused": package {
        let mut codes = package.elements[place(package, "pukCodes")].clone();
        if let ProfileElement::PukCodes(codes) = &mut codes {
            codes.header.identification = 201;
            codes.puk_codes.truncate(1);
            codes.puk_codes[0].key_reference = PukKeyReference::PUK_APPL2;
        }
        let after = place(package, "pukCodes") + 1;
        package.elements.insert(after, codes);
    }
    "a template's parent is missing" in "opt-usim" gives "out-of-order", "no-such-file": package {
        swap(package, "usim", "opt-usim");
    }
    "optional files before their application" in "df-5gs" gives "out-of-order": package {
        let element = remove(package, "df-5gs");
        package.elements.insert(4, element);
    }
    "authentication parameters before the application" in "akaParameter" gives "out-of-order": package {
        let element = remove(package, "akaParameter");
        package.elements.insert(4, element);
    }
    "authentication parameters twice" in "akaParameter" gives "bad-value": package {
        let mut element = package.elements[place(package, "akaParameter")].clone();
        if let ProfileElement::AkaParameter(aka) = &mut element {
            aka.header.identification = 202;
        }
        let after = place(package, "akaParameter") + 1;
        package.elements.insert(after, element);
    }
    "no authentication parameters" in "usim" gives "naa-without-keys": package {
        remove(package, "akaParameter");
    }
    "CDMA parameters in a USIM" in "cdmaParameter" gives "cdma-elsewhere", "cave-not-listed": package {
        let parameter = CdmaParameter {
            header: PeHeader::mandated(203),
            authentication_key: code(b"01234567"),
            ssd: None,
            hrpd_access_authentication_data: None,
            simple_ip_authentication_data: None,
            mobile_ip_authentication_data: None,
            unknown: Unknown::default(),
        };
        let after = place(package, "akaParameter") + 1;
        package.elements.insert(after, ProfileElement::CdmaParameter(parameter));
    }
    "a security domain before the applications" in "securityDomain" gives "sd-too-early": package {
        let domain = remove(package, "securityDomain");
        package.elements.insert(4, domain);
    }
    "remote file management before its domain" in "rfm" gives "sd-unknown": package {
        swap(package, "securityDomain", "rfm");
    }
    "no security domain" in "" gives "no-mno-sd", "sd-unknown": package {
        remove(package, "securityDomain");
    }
    "an unknown mandated PE" in "unknown" gives "not-supported", "unknown-pe": package {
        let contents = octets("A0068000810200CC");
        before_end(package, ProfileElement::Unknown(UnknownElement { tag: Tag(0xAB), contents }));
    }
    "a proprietary PE" in "nonStandard" gives "unknown-pe": package {
        let header = PeHeader { mandated: None, ..PeHeader::mandated(204) };
        let (issuer_id, content) = (Oid::template(99, 1), octets("00"));
        let own = NonStandard { header, issuer_id, content, unknown: Unknown::default() };
        before_end(package, ProfileElement::NonStandard(own));
    }

    // Header.
    "another major version" in "header" gives "unknown-version": package {
        header(package).major_version = 4;
    }
    "an ICCID that differs from EF.ICCID" in "mf" gives "iccid-differs": package {
        write(package, Kind::Mf, "ef-iccid", "98001032547698103214");
    }
    "an ICCID with a wrong check digit" in "header" gives "iccid-check-digit", "iccid-differs": package {
        header(package).iccid.0[9] ^= 0x01;
    }
    "an ICCID of another industry" in "header" gives
        "iccid-industry", "iccid-check-digit", "iccid-differs"
    : package {
        header(package).iccid.0[0] = 0x79;
    }
    "an ICCID with letters" in "header" gives "iccid-digits", "iccid-differs": package {
        header(package).iccid.0[3] = 0xAB;
    }
    "an ICCID of nine octets" in "header" gives "bad-value": package {
        header(package).iccid.0.pop();
    }
    "an algorithm that is not listed" in "header" gives "service-not-listed": package {
        header(package).mandatory_services.services.retain(|service| *service != Service::MILENAGE);
    }
    "BER-TLV files that are not listed" in "header" gives "service-not-listed": package {
        header(package).mandatory_services.services.retain(|service| *service != Service::BER_TLV);
    }
    "a profile of SUCI that is not listed" in "header" gives "service-not-listed": package {
        header(package).mandatory_services.services.retain(|service| *service != Service::PROFILE_A_X25519);
    }
    "a service that nothing uses" in "header" gives "service-not-used": package {
        header(package).mandatory_services.services.push(Service::TUAK128);
    }
    "javacard without applications" in "header" gives "service-not-used": package {
        header(package).mandatory_services.services.push(Service::JAVACARD);
    }
    "GBA in a missing CSIM" in "header" gives "service-without-base", "service-not-used": package {
        header(package).mandatory_services.services.push(Service::MULTIPLE_CSIM);
    }
    "a template that is not listed" in "df-5gs" gives "template-not-listed": package {
        header(package).mandatory_gfste_list.retain(|oid| *oid != Oid::template(13, 4));
    }
    "a template that no PE has" in "header" gives "template-not-used": package {
        header(package).mandatory_gfste_list.push(Oid::template(12, 1));
    }
    "a template listed twice" in "header" gives "template-twice": package {
        header(package).mandatory_gfste_list.push(Oid::template(4, 1));
    }
    "an unknown template" in "header" gives "unknown-template", "template-not-used": package {
        header(package).mandatory_gfste_list.push(Oid::template(99, 1));
    }
    "a template of another PE" in "usim" gives
        "unknown-template", "out-of-order", "bad-value", "no-such-file", "template-not-used", "suci-service-not-used"
    : package {
        files(package, Kind::Usim).template_id = Oid::template(8, 1);
    }
    "policy rules that contradict each other" in "header" gives "policy-rules": package {
        header(package).pol = Some(octets("06"));
    }
    "connectivity parameters that cannot be read" in "header" gives "connectivity-parameters": package {
        header(package).connectivity_parameters = Some(octets("A0090607"));
    }
    "IoT options without the PE" in "header" gives "iot-options": package {
        header(package).iot_options = Some(IotOptions { pix: octets("1002"), unknown: Unknown::default() });
    }
    "a mandatory application with a short AID" in "header" gives "aid-shape": package {
        let (aid, version) = (octets("A000"), octets("0100"));
        header(package).mandatory_aids = Some(vec![MandatoryAid { aid, version, unknown: Unknown::default() }]);
    }
    "a name that is empty" in "header" gives "profile-type": package {
        header(package).profile_type = Some(String::new());
    }

    // Files.
    "a mandatory file is not named" in "usim" gives "invalid-parameter": package {
        files(package, Kind::Usim).files.retain(|file| file.name != "ef-imsi");
    }
    "a rule of a missing EF.ARR" in "usim" gives "arr-missing": package {
        fcp(package, Kind::Usim, "ef-spn").security_attributes_referenced = Some(octets("6F7701"));
    }
    "a rule that is not in the EF.ARR" in "usim" gives "arr-record-missing": package {
        fcp(package, Kind::Usim, "ef-spn").security_attributes_referenced = Some(octets("6F0610"));
    }
    "a rule that cannot be read" in "usim" gives "arr-record-unreadable": package {
        write_first(package, "8001019000800102");
        name(package, Kind::OptUsim, "ef-li", vec![]);
    }
    "a rule that cannot be read, to which no file refers" in "usim" gives "arr-record-unreadable": package {
        write_first(package, "8001015B06830101950108");
    }
    "a rule that is empty" in "usim" gives "arr-record-blank": package {
        write_first(package, "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF");
        name(package, Kind::OptUsim, "ef-li", vec![]);
    }
    "a rule that requires a code that the profile lacks" in "usim" gives "rule-without-pin": package {
        write_first(package, "800103A40683018E950108");
        name(package, Kind::OptUsim, "ef-li", vec![]);
    }
    "a file without access rule" in "genericFileManagement" gives "no-access-rule": package {
        created(package, 0x6FFE).security_attributes_referenced = None;
    }
    "a PIN status of a missing code" in "usim" gives "pin-status-unknown": package {
        fcp(package, Kind::Usim, "adf-usim").pin_status_template_do = Some(octets("01810A0C"));
    }
    "a PIN status that names a code twice" in "usim" gives "pin-status-twice": package {
        fcp(package, Kind::Usim, "adf-usim").pin_status_template_do = Some(octets("01810A01"));
    }
    "a PIN that the status does not name" in "mf" gives "pin-not-in-status": package {
        fcp(package, Kind::Mf, "mf").pin_status_template_do = Some(octets("0A"));
    }
    "a short identifier twice" in "opt-usim" gives "sfi-twice": package {
        fcp(package, Kind::OptUsim, "ef-msisdn").short_ef_id = Some(octets("38"));
    }
    "an invalid short identifier" in "opt-usim" gives "bad-value", "no-such-file": package {
        fcp(package, Kind::OptUsim, "ef-msisdn").short_ef_id = Some(octets("39"));
    }
    "a file identifier twice" in "genericFileManagement" gives "file-twice": package {
        created(package, 0x6FFE).file_id = Some(Fid(0x6F46));
    }
    "a reserved file identifier" in "genericFileManagement" gives
        "reserved-fid", "service-without-file"
    : package {
        created(package, 0x6FFE).file_id = Some(Fid(0x3FFF));
    }
    "an AID twice" in "isim" gives
        "aid-twice", "dir-to-nothing", "file-size", "service-not-listed", "service-not-used"
    : package {
        fcp(package, Kind::Isim, "adf-isim").df_name = Some(octets(USIM_AID));
    }
    "an application that EF.DIR does not list" in "isim" gives "application-not-in-dir": package {
        items(package, Kind::Mf, "ef-dir").truncate(2);
    }
    "EF.DIR that cannot be read" in "mf" gives "dir-unreadable", "application-not-in-dir": package {
        write(package, Kind::Mf, "ef-dir", "4F0CA0000000871002FF49FF0589");
    }
    "a size that differs from the standard" in "usim" gives "file-size": package {
        fcp(package, Kind::Usim, "ef-acc").ef_file_size = Some(octets("03"));
    }
    "a record length that differs from the standard" in "usim" gives "file-size": package {
        let records = Fcp {
            file_descriptor: Some(octets("42210064")),
            ef_file_size: Some(octets("64")),
            ..Fcp::default()
        };
        name(package, Kind::Usim, "ef-sms", vec![descriptor(records)]);
    }
    "contents longer than their file" in "usim" gives "bad-value": package {
        write(package, Kind::Usim, "ef-acc", "0001FF");
    }
    "an offset beyond the file" in "usim" gives "bad-value": package {
        items(package, Kind::Usim, "ef-acc").insert(0, FileItem::FillFileOffset(40));
    }
    "a size that is not a whole number of records" in "usim" gives "bad-value": package {
        fcp(package, Kind::Usim, "ef-ecc").ef_file_size = Some(octets("05"));
    }
    "a negative offset" in "usim" gives "bad-value": package {
        items(package, Kind::Usim, "ef-acc").push(FileItem::FillFileOffset(-1));
    }
    "a file larger than any card" in "genericFileManagement" gives "too-large": package {
        created(package, 0x6FFE).ef_file_size = Some(octets("7FFFFFFF"));
    }
    "a reserved size above the maximum size" in "genericFileManagement" gives "ber-tlv-size": package {
        let maximum_file_size = Some(octets("0200"));
        created(package, 0x6FFE).proprietary_ef_info =
            Some(ProprietaryInfo { maximum_file_size, ..ProprietaryInfo::default() });
    }
    "a link to nothing" in "genericFileManagement" gives "no-such-file": package {
        created(package, 0x6F40).link_path = Some(octets("7FD06F99"));
    }
    "a link to a directory" in "genericFileManagement" gives "bad-value", "link-records": package {
        created(package, 0x6F40).link_path = Some(octets("7FD0"));
    }
    "half a path" in "genericFileManagement" gives "bad-value": package {
        created(package, 0x6F40).link_path = Some(octets("7FD06F"));
    }
    "a link with another record length" in "genericFileManagement" gives "link-records": package {
        created(package, 0x6F40).file_descriptor = Some(octets("4221001C"));
    }
    "contents of a link" in "genericFileManagement" gives "link-content": package {
        let content = FileManagement::FillFileContent(octets("FFFFFFFF"));
        commands(package).insert(3, content);
    }
    "a directory after its contents" in "genericFileManagement" gives "no-such-file": package {
        commands(package).insert(0, FileManagement::FilePath(octets("7F10")));
    }
    "contents without a file" in "genericFileManagement" gives "out-of-order": package {
        commands(package).insert(0, FileManagement::FillFileContent(octets("00")));
    }
    "directories without end" in "genericFileManagement" gives "too-large": package {
        for number in 0..100 {
            let directory = Fcp {
                file_id: Some(Fid(0x5F10 + number)),
                file_descriptor: Some(octets("7821")),
                security_attributes_referenced: Some(octets("2F060E")),
                ..Fcp::default()
            };
            commands(package).push(FileManagement::CreateFcp(Box::new(directory)));
        }
    }
    "doNotCreate beside contents" in "usim" gives "do-not-create-alone": package {
        name(package, Kind::Usim, "ef-hpplmn", vec![FileItem::DoNotCreate(Null), fill("05")]);
    }
    "doNotCreate in a template that creates only listed files" in "opt-usim" gives "bad-value", "no-such-file": package {
        *items(package, Kind::OptUsim, "ef-msisdn") = vec![FileItem::DoNotCreate(Null)];
        ust(package, &[], &[21]);
    }
    "a descriptor after the contents" in "usim" gives "descriptor-first": package {
        items(package, Kind::Usim, "ef-acc").push(descriptor(Fcp::default()));
    }
    "two descriptors" in "usim" gives "bad-value": package {
        fcp(package, Kind::Usim, "ef-acc");
        items(package, Kind::Usim, "ef-acc").insert(0, descriptor(Fcp::default()));
    }
}
