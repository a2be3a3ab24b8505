// Receives deliveries of Callboard: verifies, answers, and works afterwards.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const maxBodyBytes = 1 << 20

type delivery struct {
	id   string
	body []byte
}

func main() {
	secret := os.Getenv("CALLBOARD_SECRET")
	if secret == "" { // the library would take an empty key
		log.Fatal("CALLBOARD_SECRET is not set")
	}
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		log.Fatal("CALLBOARD_SECRET: ", err)
	}
	// A real receiver puts this queue into its database, so that what it answered
	// 204 to survives a crash.
	accepted := make(chan delivery, 1000)
	go work(accepted)

	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", os.Getenv("PORT")))
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Handler:     receive(webhook, accepted),
		ReadTimeout: 10 * time.Second,
		IdleTimeout: time.Minute,
	}
	fmt.Printf("Listening on http://%s\n", listener.Addr())
	log.Fatal(server.Serve(listener))
}

func receive(webhook *standardwebhooks.Webhook, accepted chan<- delivery) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if err := webhook.Verify(body, r.Header); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		select {
		case accepted <- delivery{r.Header.Get(standardwebhooks.HeaderWebhookID), body}:
			w.WriteHeader(http.StatusNoContent)
		default: // Callboard comes back later
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
}

// A delivery can come twice. A real receiver keeps the ids in a table with a unique
// key, and writes each in the transaction of the work itself.
func work(accepted <-chan delivery) {
	done := make(map[string]bool)
	for delivery := range accepted {
		if done[delivery.id] {
			continue
		}
		var event struct {
			Type    string `json:"type"`
			Subject struct {
				ID string `json:"id"`
			} `json:"subject"`
		}
		if err := json.Unmarshal(delivery.body, &event); err != nil {
			log.Printf("%s: %v", delivery.id, err)
			continue
		}
		fmt.Printf("%s %s (%s)\n", event.Type, event.Subject.ID, delivery.id)
		done[delivery.id] = true
	}
}
