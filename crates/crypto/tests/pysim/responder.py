"""Answers the requests of ../pysim.rs, one per line, with the results of pySim."""

import os
import sys
from unittest import mock

# pySim prints diagnostics to stdout. The responses use the original stdout instead.
responses, sys.stdout = sys.stdout, open(os.devnull, "w")

try:
    import smpp.pdu  # noqa: F401
except ImportError:
    # pySim.sms imports it for SMPP, which these requests do not use.
    for name in ("smpp", "smpp.pdu", "smpp.pdu.pdu_types", "smpp.pdu.operations"):
        sys.modules[name] = mock.MagicMock()

from pySim.global_platform import GpCardKeyset
from pySim.global_platform.scp import SCP03
from pySim.ota import OtaDialectSms, OtaKeyset


def keyset(kic, kid, counter="00"):
    return OtaKeyset("aes_cbc", 2, bytes.fromhex(kic), "aes_cmac", 2, bytes.fromhex(kid), int(counter, 16))


def spi(check):
    return {
        "counter": "counter_must_be_higher", "ciphering": True, "rc_cc_ds": check, "por_in_submit": True,
        "por_shall_be_ciphered": True, "por_rc_cc_ds": "cc", "por": "por_required",
    }


session = None

for line in sys.stdin:
    request, *words = line.split()
    if request == "command":
        kic, kid, counter, tar, check, data = words
        packet = OtaDialectSms().encode_cmd(
            keyset(kic, kid, counter), bytes.fromhex(tar), spi(check), bytes.fromhex(data))
        response = packet.hex()
    elif request == "response":
        kic, kid, packet = words
        decoded, _ = OtaDialectSms().decode_resp(keyset(kic, kid), spi("cc"), "027100" + packet)
        response = "%s %02x %s" % (
            decoded.cntr.hex(), int(decoded.response_status), decoded.secured_data.hex())
    elif request == "session":
        enc, mac, dek, host, card, level = words
        session = SCP03(card_keys=GpCardKeyset(0x30, bytes.fromhex(enc), bytes.fromhex(mac), bytes.fromhex(dek)))
        session.gen_init_update_apdu(bytes.fromhex(host))
        session.parse_init_update_resp(bytes.fromhex(card))
            response = session.gen_ext_auth_apdu(int(level, 16)).hex()
        elif request == "wrap":
            response = session.wrap_cmd_apdu(bytes.fromhex(words[0])).hex()
        elif request == "unwrap":
            response = bytes(session.unwrap_rsp_apdu(bytes.fromhex(words[0]), bytes.fromhex(words[1]))).hex()
        print(response, file=responses, flush=True)
