// Command devserver serves the user interface as it was last built in ui/dist,
// together with a made-up API, for work on the pages:
//
//	npm run build && go run ./internal/devserver
//
// The page shows a new build after a reload of the page and of this command.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/frontend/internal/fakeapi"
	"github.com/alphapulse/alphapulse-infra/docker/frontend/internal/server"
	"github.com/alphapulse/alphapulse-infra/docker/frontend/internal/settings"
)

func main() {
	address := flag.String("listen", "127.0.0.1:3000", "address to listen on")
	symbols := flag.Int("symbols", 300, "size of the market; 0 shows the empty states")
	flag.Parse()

	api := fakeapi.New(*symbols, time.Second, 1)
	site, err := server.New(os.DirFS("ui/dist"), settings.Runtime{
		WSPath: "/ws/streaming", Environment: "local",
		DashboardURL: "http://localhost:8050", GrafanaURL: "http://localhost:3001",
	})
	if err != nil {
		log.Fatalf("devserver: %v (run npm run build first)", err)
	}
	go api.Run(context.Background())

	mux := http.NewServeMux()
	mux.Handle("/", site)
	mux.Handle("/api/", api)
	mux.Handle("/ws", api)
	mux.Handle("/ws/", api)
	log.Printf("http://%s/", *address)
	srv := &http.Server{Addr: *address, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(srv.ListenAndServe())
}
