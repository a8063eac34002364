package api

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/httpx"
)

// longestStress bounds the CPU time of one request.
const longestStress = time.Second

// Stress burns CPU time, so that autoscaling can be tried without a load generator:
// POST /api/stress?milliseconds=100.
func Stress(w http.ResponseWriter, r *http.Request) error {
	q := newQuery(r)
	burn := time.Duration(q.number("milliseconds", 100, 1, int(longestStress.Milliseconds()))) * time.Millisecond
	if q.err != nil {
		return q.err
	}
	start, rounds, sum := time.Now(), 0, [sha256.Size]byte{}
	for ; time.Since(start) < burn && r.Context().Err() == nil; rounds++ {
		sum = sha256.Sum256(sum[:])
	}
	raw, err := json.Marshal(map[string]int{"rounds": rounds})
	if err != nil {
		return err
	}
	httpx.WriteJSON(w, http.StatusOK, raw)
	return nil
}
