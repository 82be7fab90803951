// One operation of the library github.com/damonto/euicc-go a call: docs/interop.md has the output.
//
//	go mod init euicc_go && go mod tidy && go build
//	euicc_go info | list | download CODE | enable ICCID | ...
//
// It uses the modem that AT_DEVICE names, or the first PC/SC reader. It does not check TLS
// certificates, because the library trusts only the GSMA's roots.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/damonto/euicc-go/driver"
	"github.com/damonto/euicc-go/driver/at"
	"github.com/damonto/euicc-go/driver/ccid"
	"github.com/damonto/euicc-go/lpa"
	sgp22 "github.com/damonto/euicc-go/v2"
)

const imei = "356938035643809"

func channel() (driver.SmartCardChannel, error) {
	if device := os.Getenv("AT_DEVICE"); device != "" {
		return at.New(device)
	}
	reader := ccid.New()
	readers, err := reader.ListReaders()
	if err != nil || len(readers) == 0 {
		return nil, errors.Join(errors.New("no reader"), err)
	}
	return reader, reader.SetReader(readers[0])
}

// Returns the value, or ends the program with the error.
func must[T any](value T, err error) T {
	done(err)
	return value
}

func done(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func main() {
	slog.SetLogLoggerLevel(slog.LevelWarn)
	c := must(lpa.New(&lpa.Options{Channel: must(channel()), Timeout: 20 * time.Second}))
	c.HTTP.Client.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer c.Close()
	operation, argument := os.Args[1], strings.Join(os.Args[2:], " ")
	defer fmt.Println("ok")
	switch operation {
	case "info":
		fmt.Printf("EID %X, root SM-DS %s, ", must(c.EID()), must(c.EUICCConfiguredAddresses()).RootSMDSAddress)
		fmt.Printf("EUICCInfo1 with %d elements, ", len(must(c.EUICCInfo1()).Children))
		fmt.Printf("EUICCInfo2 with %d elements, ", len(must(c.EUICCInfo2()).Children))
		fmt.Printf("challenge of %d octets, ", len(must(c.EUICCChallenge())))
	case "default":
		done(c.SetDefaultDPAddress(argument))
	case "list":
		for _, p := range must(c.ListProfile(nil, nil)) {
			fmt.Printf("%s %v %s, ", p.ICCID, p.ProfileState, p.ProfileNickname)
		}
	case "discovery":
		for _, e := range must(c.Discovery(&url.URL{Scheme: "https", Host: argument}, must(sgp22.NewIMEI(imei)))) {
			fmt.Print("event at ", e.Address, ", ")
		}
	case "download":
		parts := strings.Split(argument, "$")
		code := &lpa.ActivationCode{SMDP: &url.URL{Scheme: "https", Host: parts[1]}, MatchingID: parts[2], IMEI: imei}
		result, err := c.DownloadProfile(context.Background(), code, &lpa.DownloadOptions{
			OnConfirm: func(*sgp22.ProfileInfo) bool {
				return os.Getenv("DECLINE") == ""
			},
			OnEnterConfirmationCode: func() string { return os.Getenv("CODE") },
		})
		done(err)
		if result == nil {
			fmt.Print("not installed, ")
		} else {
			fmt.Printf("installed %s, ", result.ISDPAID())
		}
	case "nickname":
		done(c.SetNickname(must(sgp22.NewICCID(os.Args[2])), os.Args[3]))
	case "enable":
		done(c.EnableProfile(must(sgp22.NewICCID(argument)), true))
	case "disable":
		done(c.DisableProfile(must(sgp22.NewICCID(argument)), true))
	case "delete":
		done(c.DeleteProfile(must(sgp22.NewICCID(argument))))
	case "notifications":
		for _, n := range must(c.ListNotification()) {
			done(c.HandleNotification(must(c.RetrieveNotificationList(n.SequenceNumber))[0]))
			done(c.RemoveNotificationFromList(n.SequenceNumber))
			fmt.Print("delivered and removed ", n.SequenceNumber, ", ")
		}
	case "reset":
		done(c.MemoryReset())
	}
}
