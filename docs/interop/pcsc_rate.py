#!/usr/bin/env python3
"""Measures the APDUs per second of the first PC/SC reader with a card (Debian: python3-pyscard).

Start pcscd and `landfall euicc serve --vpcd --ram` first. The APDU is MANAGE CHANNEL, closing a channel that is not open, which
neither reads nor writes the memory of the card. The exchange over a pipe in the same process shows what the machine can do: the
ratio of the two figures depends less on the machine than the figures.
"""
import os
import sys
import threading
import time

from smartcard.System import readers

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
APDU = [0x00, 0x70, 0x80, 0x01]


def rate(exchange):
    start = time.monotonic()
    for _ in range(COUNT):
        exchange()
    return COUNT / (time.monotonic() - start)


def echo(source, sink):
    while octets := os.read(source, 16):
        os.write(sink, octets)


connection = next(iter(readers())).createConnection()
connection.connect()
over_pcsc = rate(lambda: connection.transmit(APDU))
(request_in, request_out), (answer_in, answer_out) = os.pipe(), os.pipe()
threading.Thread(target=echo, args=(request_in, answer_out), daemon=True).start()
over_pipe = rate(lambda: (os.write(request_out, b"x"), os.read(answer_in, 16)))
print(f"{over_pcsc:.0f} APDU/s over PC/SC, {over_pipe:.0f} exchanges/s over a pipe, ratio {over_pcsc / over_pipe:.2f}")
