//! Templates of the directories in ADF.USIM, and of DF.EAP.

use super::{Element, Shape, ber_tlv, directory, linear_fixed, transparent};

pub(super) const GSM_ACCESS: &[Element] = &[
    directory("df-gsm-access", 0x5F3B, Shape::Df).mandatory(),
    transparent("ef-kc", 0x4F20, 9, 5).sfi(0x01).default("FF...FF07").high_update(),
    transparent("ef-kcgprs", 0x4F52, 9, 5).sfi(0x02).default("FF...FF07").high_update(),
    transparent("ef-cpbcch", 0x4F63, 10, 5).default("FF...FF").high_update(),
    transparent("ef-invscan", 0x4F64, 1, 2).default("00"),
];

pub(super) const EAP: &[Element] = &[
    directory("df-eap", 0x0000, Shape::Df).mandatory(),
    transparent("ef-eapkeys", 0x4F01, 0, 2).content_required().high_update(),
    transparent("ef-eapstatus", 0x4F02, 1, 2).default("00").mandatory().high_update(),
    transparent("ef-puid", 0x4F03, 0, 2).content_required(),
    transparent("ef-ps", 0x4F04, 0, 5).default("FF...FF").high_update(),
    transparent("ef-curid", 0x4F20, 0, 5).default("FF...FF").high_update(),
    transparent("ef-reid", 0x4F21, 0, 5).content_required(),
    transparent("ef-realm", 0x4F22, 0, 5).content_required(),
];

pub(super) const DF_5GS: &[Element] = &[
    directory("df-df-5gs", 0x5FC0, Shape::Df).mandatory(),
    transparent("ef-5gs3gpploci", 0x4F01, 20, 5)
        .sfi(0x01)
        .default("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000001")
        .high_update(),
    transparent("ef-5gsn3gpploci", 0x4F02, 20, 5)
        .sfi(0x02)
        .default("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000001")
        .high_update(),
    linear_fixed("ef-5gs3gppnsc", 0x4F03, 1, 57, 5).sfi(0x03).default("FF...FF").high_update().changed(
        3,
        Shape::LinearFixed { records: 2, length: 62 },
        "FF...FF",
    ),
    linear_fixed("ef-5gsn3gppnsc", 0x4F04, 1, 57, 5).sfi(0x04).default("FF...FF").high_update().changed(
        3,
        Shape::LinearFixed { records: 2, length: 62 },
        "FF...FF",
    ),
    transparent("ef-5gauthkeys", 0x4F05, 110, 5).sfi(0x05).content_required().high_update(),
    transparent("ef-uac-aic", 0x4F06, 4, 2).sfi(0x06).content_required(),
    transparent("ef-suci-calc-info", 0x4F07, 0, 2).sfi(0x07).default("FF...FF"),
    linear_fixed("ef-opl5g", 0x4F08, 0, 10, 10).sfi(0x08).default("FF...FF"),
    transparent("ef-supinai", 0x4F09, 0, 2).sfi(0x09).content_required(),
    transparent("ef-routing-indicator", 0x4F0A, 4, 2).sfi(0x0A).default("F0FFFFFF").changed(
        4,
        Shape::Transparent(4),
        "F0FF0000",
    ),
    ber_tlv("ef-ursp", 0x4F0B, 2).since(2),
    transparent("ef-tn3gppsnn", 0x4F0C, 1, 2).sfi(0x0C).default("00").since(2),
    transparent("ef-cag", 0x4F0D, 2, 2).sfi(0x0D).content_required().since(4),
    transparent("ef-sor-cmci", 0x4F0E, 0, 2).sfi(0x0E).content_required().since(4),
    transparent("ef-dri", 0x4F0F, 7, 2).sfi(0x0F).content_required().since(4),
    transparent("ef-5gsedrx", 0x4F10, 2, 2).sfi(0x10).content_required().since(4),
    transparent("ef-5gnswo-conf", 0x4F11, 1, 2).sfi(0x11).content_required().since(4),
    transparent("ef-mchpplmn", 0x4F15, 1, 2).sfi(0x15).content_required().since(4),
    transparent("ef-kausf-derivation", 0x4F16, 1, 2).sfi(0x16).content_required().since(4),
];

pub(super) const DF_SAIP: &[Element] = &[
    directory("df-df-saip", 0x5FD0, Shape::Df).mandatory(),
    transparent("ef-suci-calc-info-usim", 0x4F01, 0, 3).default("FF...FF"),
];

pub(super) const DF_SNPN: &[Element] = &[
    directory("df-df-snpn", 0x5FE0, Shape::Df).mandatory(),
    transparent("ef-pws-snpn", 0x4F01, 1, 10).content_required(),
];

pub(super) const DF_5GPROSE: &[Element] = &[
    directory("df-df-5g-prose", 0x5FF0, Shape::Df).mandatory(),
    transparent("ef-5g-prose-st", 0x4F01, 1, 2).sfi(0x01).content_required(),
    transparent("ef-5g-prose-dd", 0x4F02, 26, 2).sfi(0x02).content_required(),
    transparent("ef-5g-prose-dc", 0x4F03, 12, 2).sfi(0x03).content_required(),
    transparent("ef-5g-prose-u2nru", 0x4F04, 32, 2).sfi(0x04).content_required(),
    transparent("ef-5g-prose-ru", 0x4F05, 29, 2).sfi(0x05).content_required(),
    transparent("ef-5g-prose-uir", 0x4F06, 32, 2).sfi(0x06).content_required(),
];
