package inside

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"sync"
	"time"
)

// dialTimeout bounds how long a connection waits for the port behind it.
const dialTimeout = 5 * time.Second

// Forward passes every connection that l accepts on to target, in both
// directions, until ctx ends.
func Forward(ctx context.Context, l net.Listener, target string) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			// Out of descriptors, or the peer was gone already: neither ends the service.
			var ne net.Error
			if errors.As(err, &ne) && !errors.Is(err, net.ErrClosed) {
				log.Printf("accept on %s: %v", l.Addr(), err)
				time.Sleep(50 * time.Millisecond)
				continue
			}
			return err
		}
		wg.Go(func() { relay(ctx, c, target) })
	}
}

func relay(ctx context.Context, client net.Conn, target string) {
	defer func() { _ = client.Close() }()
	d := net.Dialer{Timeout: dialTimeout}
	server, err := d.DialContext(ctx, "tcp", target)
	if err != nil {
		return // closing is the answer that a refused connection would give
	}
	defer func() { _ = server.Close() }()
	stop := context.AfterFunc(ctx, func() { _, _ = client.Close(), server.Close() })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { pass(server, client) })
	wg.Go(func() { pass(client, server) })
	wg.Wait()
}

// pass copies until from ends, and then ends the direction towards to only: the
// other may still have an answer under way.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if err != nil {
		// A broken direction breaks the connection; waiting for the other would
		// keep it open for ever.
		_, _ = to.Close(), from.Close()
		return
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
