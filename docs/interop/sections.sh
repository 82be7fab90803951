# The sections of docs/interop.md; read by record.sh.

# Profiles in stock: 20 created here, and the GSMA's test profile, for which an event is registered at the SM-DS.
stock=() iccids=()
for number in $(seq 20); do
    iccids[number]=$(landfall profile new "own$number.der" --number "$number" 2>/dev/null | cut -d: -f1)
    stock+=(--profile "own$number.der")
done
until="SM-DP+ at" serve landfall sm-dp serve "${stock[@]}" --profile "$package"
until="SM-DS at" serve landfall sm-ds serve
until="networks at" serve landfall network --subscriber own1.der --subscriber "$package"
eid=$(landfall certs show --json 2>/dev/null | grep -m1 -oE '[0-9]{32}')
own=${iccids[1]}
test_profile=89000123456789012341
landfall operator order "$own" --matching-id FIRST >/dev/null 2>&1

# Runs every command of lpac, with three profiles from this number on. The last argument runs lpac with one of its drivers.
lpac_commands() {
    local file=$1 first=$2 lpac=$3 profile=${iccids[$2]} sequence
    landfall operator order "$profile" --eid "$eid" --matching-id "M-$first" --sm-ds 127.0.0.1:7444 >/dev/null 2>&1
    landfall operator order "${iccids[first + 1]}" --matching-id "M-$((first + 1))" >/dev/null 2>&1
    landfall operator order "${iccids[first + 2]}" --matching-id "M-$((first + 2))" >/dev/null 2>&1
    shown='.eidValue[-4:] | "EID ...\(.)"' row "$file" "chip info" "$lpac chip info"
    row "$file" "chip defaultsmdp" "$lpac chip defaultsmdp smdp.example.com"
    shown='"\(length) address"' row "$file" "profile discovery" "$lpac profile discovery -s 127.0.0.1:7444"
    row "$file" "profile download -p, declined" "echo n | $lpac profile download -p -a 'LPA:1\$127.0.0.1:7443\$M-$((first + 1))'"
    row "$file" "profile download -p, accepted" "echo y | $lpac profile download -p -a 'LPA:1\$127.0.0.1:7443\$M-$first'"
    shown='map(.profileState) | join(", ")' row "$file" "profile list" "$lpac profile list"
    row "$file" "profile nickname" "$lpac profile nickname $profile Office"
    row "$file" "profile enable" "$lpac profile enable $profile"
    shown='map("\(.profileNickname): \(.profileState)") | join(", ")' row "$file" "profile list" "$lpac profile list"
    shown='map(.profileManagementOperation) | join(", ")' row "$file" "notification list" "$lpac notification list"
    sequence=$(bash -c "$lpac notification list" | jq -r '.payload.data[0].seqNumber')
    bash -c "$lpac notification dump $sequence" | grep '"type":"notification"' >dumped
    row "$file" "notification dump" "cat dumped"
    row "$file" "notification process" "$lpac notification process $sequence"
    row "$file" "notification replay" "$lpac notification replay <dumped"
    row "$file" "notification remove" "$lpac notification remove $sequence"
    row "$file" "profile disable" "$lpac profile disable $profile"
    row "$file" "profile delete" "$lpac profile delete $profile"
    row "$file" "notification process -a -r" "$lpac notification process -a -r"
    shown='"\(length) left"' row "$file" "notification list" "$lpac notification list"
    row "$file" "profile download" "$lpac profile download -a 'LPA:1\$127.0.0.1:7443\$M-$((first + 2))'"
    row "$file" "chip purge" "$lpac chip purge yes"
    shown='"\(length) left"' row "$file" "profile list" "$lpac profile list"
    bash -c "$lpac notification process -a -r" >/dev/null 2>&1
}

# Runs every operation of the program euicc_go, with two profiles from this number on.
euicc_go_commands() {
    local file=$1 first=$2 profile=${iccids[$2]}
    landfall operator order "$profile" --eid "$eid" --matching-id "G-$first" --sm-ds 127.0.0.1:7444 >/dev/null 2>&1
    landfall operator order "${iccids[first + 1]}" --matching-id "G-$((first + 1))" >/dev/null 2>&1
    row "$file" "EID, addresses, EUICCInfo1, EUICCInfo2, challenge" euicc_go info
    row "$file" "SetDefaultDPAddress" euicc_go default smdp.example.com
    row "$file" "Discovery" euicc_go discovery 127.0.0.1:7444
    row "$file" "DownloadProfile, declined" "DECLINE=1 euicc_go download 'LPA:1\$127.0.0.1:7443\$G-$((first + 1))'"
    row "$file" "DownloadProfile" "euicc_go download 'LPA:1\$127.0.0.1:7443\$G-$first'"
    row "$file" "SetNickname" "euicc_go nickname $profile Office"
    row "$file" "EnableProfile" "euicc_go enable $profile"
    row "$file" "ListProfile" euicc_go list
    sleep 9
    row "$file" "ListProfile, 9 s later" euicc_go list
    row "$file" "DisableProfile" "euicc_go disable $profile"
    sleep 9
    row "$file" "ListNotification, HandleNotification, RemoveNotificationFromList" euicc_go notifications
    row "$file" "DeleteProfile" "euicc_go delete $profile"
    row "$file" "the notification of the deletion" euicc_go notifications
    row "$file" "DownloadProfile, after it was declined" "euicc_go download 'LPA:1\$127.0.0.1:7443\$G-$((first + 1))'"
    row "$file" "MemoryReset" euicc_go reset
    row "$file" "ListProfile" euicc_go list
    euicc_go notifications >/dev/null 2>&1
}

until="is in the reader" serve landfall euicc serve --vpcd
waits=$(landfall operator order $test_profile --eid "$eid" --matching-id SECOND --sm-ds 127.0.0.1:7444 2>/dev/null)

section "The card in a reader" "\`landfall euicc serve --vpcd\` connected the card to the reader."
if has opensc-tool; then
    opensc() {
        run opensc-tool -l
        run opensc-tool --atr
        run opensc-tool --name
        run opensc-tool -s 00:A4:04:00:10:A0:00:00:05:59:10:10:FF:FF:FF:FF:89:00:00:01:00:00 -s 80:E2:91:00:06:BF:3E:03:5C:01:5A:00
    }
    console opensc
fi
if has scriptor; then
    scriptor_says() {
        run "echo '00 70 00 00 01' | scriptor"
    }
    console scriptor_says
fi

if has lpac; then
    export LPAC_APDU=pcsc
    section "lpac: eUICC information" "lpac uses its PC/SC driver."
    chip() {
        run "lpac chip info | jq .payload"
        run lpac chip defaultsmdp smdp.example.com
        run "lpac chip info | jq .payload.data.EuiccConfiguredAddresses"
    }
    lines=70 console chip

    section "lpac: a profile, from activation code to deletion" "lpac delivers the notifications to the SM-DP+. The \
list of its profiles then shows the result of the download."
    profile() {
        run lpac profile download -a "'LPA:1\$127.0.0.1:7443\$FIRST'"
        run lpac profile nickname $own Office
        run lpac profile enable $own
        run "lpac profile list | jq '.payload.data[]'"
        run "lpac notification list | jq -c '.payload.data[]'"
        run "lpac notification dump 1 | cut -c1-120"
        run lpac notification process 1
        run lpac notification remove 1
        run lpac notification process -a -r
        run lpac notification list
        run "landfall sm-dp list | grep -v Available"
        run lpac profile disable $own
        run lpac profile delete $own
        run lpac profile list
        run lpac notification process -a -r
    }
    console profile

    section "lpac: event retrieval from an SM-DS" "An operator has ordered a profile for this EID, and the SM-DP+ has \
registered an event at the SM-DS. lpac retrieves the address of the SM-DP+ from the SM-DS."
    discovery() {
        run lpac profile discovery -s 127.0.0.1:7444
        run lpac profile download -a "'$waits'"
        run lpac profile enable $test_profile
        run lpac notification process -a -r
    }
    console discovery
fi

if has pySim-shell.py; then
    pysim() {
        run "pySim-shell.py -p 0 --noprompt --script $1 2>&1 | sed '1,/ADF.ISD-R: a0/d'"
    }
    script() {
        printf '%s\n' "${@:2}" >"$1"
    }
    section "pySim-shell: the eUICC" "The script contains the commands. Their output follows in the same order."
    script euicc.pysim "select ADF.ISD-R" get_eid get_euicc_info1 get_euicc_info2 get_euicc_challenge get_euicc_configured_addresses \
        get_profiles_info list_notification "set_nickname $test_profile --profile-nickname Test" \
        "disable_profile --iccid $test_profile" get_profiles_info "enable_profile --iccid $test_profile" get_profiles_info \
        list_notification "remove_notification_from_list 99"
    euicc() {
        run cat euicc.pysim
        lines=190 pysim euicc.pysim
    }
    console euicc

    section "pySim-shell: files, records and PINs of the test profile" "The PIN is disabled in this profile. The \
script enables, verifies and changes it, and disables it again. The first authentication challenge is from a network \
that does not have the key, and the card refuses it. The second is from a network with the key (test algorithm of TS \
34.108, K 000102...0F, SEQ 1). The card answers a repetition of the same challenge with AUTS."
    script files.pysim "select EF.ICCID" read_binary_decoded "select MF" "select EF.DIR" read_records_decoded "select ADF.USIM" "select EF.IMSI" \
        read_binary_decoded "select EF.AD" read_binary_decoded "select EF.ECC" "read_record_decoded 1" "select EF.FPLMN" \
        "update_binary 62f224ffffffffffffffffff" read_binary_decoded "select ADF.USIM" "enable_chv 0000" "verify_chv 9999" "verify_chv 0000" \
        "change_chv 1234 0000" "verify_chv 1234" "change_chv 0000 1234" "disable_chv 0000" \
        "authenticate 00112233445566778899aabbccddeeff 00000000000000000000000000000000" \
        "authenticate 23553cbe9637a89d218ae64dae47bf35 bd9232ae9a09000023543ebd9212ae9a" \
        "authenticate 23553cbe9637a89d218ae64dae47bf35 bd9232ae9a09000023543ebd9212ae9a"
    files() {
        run cat files.pysim
        run "pySim-shell.py -p 0 --noprompt --script files.pysim 2>&1 | sed '1,/ADF.ISD-R: a0/d' | jq -R -s -r 'gsub(\"\\\\{\\n    \\\"file_descriptor\\\".*?\\n}\\n\"; \"(FCP)\\n\"; \"m\")'"
    }
    lines=140 console files

    section "pySim-shell: the whole file system" "\`export\` reads every file that pySim knows. pySim reports \"File \
not found\" for files that the profile does not contain. The card refuses access to files that only an administrator \
can read."
    whole() {
        run "pySim-shell.py -p 0 --noprompt export > export.txt 2>&1; grep -c '^update_' export.txt"
        run "grep -c 'File not found' export.txt"
        run "grep -E 'SW match failed' export.txt | grep -v 'File not found' | sort -u"
        run "grep -A12 'ADF.USIM/EF.SPN\$' export.txt | head -14"
    }
    console whole
fi

stop

section "A modem" "The same card is in a modem: \`landfall euicc serve --modem modem --visible 724-99 --visible 001-01\`."
until="at *$work/modem" serve landfall euicc serve --modem "$work/modem" --visible 724-99 --visible 001-01
if has socat; then
    modem() {
        local command
        for command in "$@"; do
            printf '%s\r' "$command"
            sleep 0.4
        done | timeout 20 socat -t1 - "$work/modem,raw,echo=0" | tr -d '\r' | grep -v '^$'
    }
    by_hand() {
        modem ATI "AT+CMEE=2;+CREG=1;+CEREG=2" "AT+CPIN?;+CIMI;+CCID" "AT+COPS?;+CREG?" "AT+COPS=?" "AT+CRSM=176,28423,0,0,9" \
            'AT+CCHO="A0000005591010FFFFFFFF8900000100"' 'AT+CGLA=1,22,"80E2910006BF3E035C015A"' 'AT+CGLA=1,10,"80C0000015"' "AT+CCHC=1" ATZ
    }
    console by_hand
fi
if has lpac; then
    export LPAC_APDU=at LPAC_APDU_AT_DEVICE=$work/modem
    section "lpac: through the modem" "lpac uses its driver \`at\` (+CCHO, +CGLA) and its driver \`at_csim\` (+CSIM). \
After the profile is enabled, the modem executes REFRESH and registers with that profile. (lpac waits for OK or ERROR \
and does not recognise +CME ERROR. +CMEE is 0, the value that ATZ sets.)"
    through() {
        run "LPAC_APDU=at lpac chip info | jq -c .payload.data.eidValue"
        run "LPAC_APDU=at_csim lpac chip info | jq -c .payload.data.eidValue"
        run "LPAC_APDU=at lpac profile disable $test_profile"
        run "LPAC_APDU=at lpac profile list | jq -c '.payload.data[] | [.iccid, .profileState]'"
        run "LPAC_APDU=at lpac profile enable $test_profile"
        run "LPAC_APDU=at lpac notification process -a -r | tail -n 1"
        modem "AT+CREG?;+COPS?;+CIMI"
        run "LPAC_APDU=at lpac chip purge yes"
        run "LPAC_APDU=at lpac profile list"
        run "LPAC_APDU=at lpac notification process -a -r | tail -n 1"
    }
    console through
fi

# The commands of lpac and euicc-go over each interface, with the same card.
stop
has lpac && lpac_commands lpac.stdio 2 "landfall euicc lpac --"
until="is in the reader" serve landfall euicc serve --vpcd
has lpac && lpac_commands lpac.pcsc 5 "LPAC_APDU=pcsc lpac"
has euicc_go && euicc_go_commands euicc_go.pcsc 14
stop
until="at *$work/modem" serve landfall euicc serve --modem "$work/modem" --visible 001-01
has lpac && lpac_commands lpac.at 8 "LPAC_APDU=at lpac"
has lpac && lpac_commands lpac.csim 11 "LPAC_APDU=at_csim lpac"
export AT_DEVICE=$work/modem
has euicc_go && euicc_go_commands euicc_go.at 16
stop
until="at *$work/modem" serve landfall euicc serve --modem "$work/modem" --modem-quirk hides-proactive --visible 001-01
has euicc_go && euicc_go_commands euicc_go.quirk 18
if [ -e lpac.stdio ]; then
    section "lpac: every command over each interface" "Each cell is the message of lpac, or a part of its data. lpac \
reports a declined download as an error. The limitations above explain \`notification replay\`."
    table stdio lpac.stdio PC/SC lpac.pcsc AT lpac.at CSIM lpac.csim
fi
if [ -e euicc_go.pcsc ]; then
    section "euicc-go: every function over each interface" "[euicc_go](interop/euicc_go/main.go) calls one function of \
the library each time. It does not check TLS certificates, because the library trusts only the GSMA's roots. The last column is a \
modem with \`--modem-quirk hides-proactive\`."
    table PC/SC euicc_go.pcsc AT euicc_go.at "AT, quirk" euicc_go.quirk
fi
