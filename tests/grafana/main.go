// A stand-in for Grafana, which no package registry has (docs/TESTING.md). It reads the same files, with the libraries that
// Grafana uses, as Grafana's documentation and its conf/defaults.ini say, signs people in by generic OAuth and asks data sources in
// their names. It draws nothing. What Grafana would pass over in silence, a setting that it does not know, is an error here.
//
//	grafana server --homepath=DIR --config=FILE [--packaging=NAME] [cfg:default.SECTION.KEY=VALUE …] [cfg:SECTION.KEY=VALUE …]
//	run.sh              the same, by the variables GF_PATHS_…: the entry point of its image
//	grafana -v          its version
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

var version = "0.0.0"

type server struct {
	settings
	root, sub, ca, database string
	sources                 map[string]*source
	dashboards              map[string]dashboard
	lock                    sync.Mutex
	sessions                map[string]*person
	routes                  *http.ServeMux
}

func reply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func refuseTo(w http.ResponseWriter, status int, why string) {
	reply(w, status, map[string]string{"message": why})
}

// ServeHTTP keeps to the path of root_url; what is elsewhere is sent there.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.is("server", "serve_from_sub_path") && !strings.HasPrefix(r.URL.Path, s.sub+"/") {
		http.Redirect(w, r, s.root+strings.TrimPrefix(r.URL.Path, "/"), http.StatusMovedPermanently)
		return
	}
	http.StripPrefix(s.sub, s.routes).ServeHTTP(w, r)
}

// route says what is answered, for `signed` ones to who is signed in. Of Grafana's rights: all see dashboards and ask data sources
// but for who has the role None, and which data sources there are, without their secrets; provisioned dashboards are changed by
// nobody, data sources by its Admins.
func (s *server) route() {
	s.routes = http.NewServeMux()
	signed := func(pattern string, answer func(http.ResponseWriter, *http.Request, *person)) {
		s.routes.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			switch who := s.who(r); {
			case who == nil && strings.HasPrefix(r.URL.Path, "/api/"):
				refuseTo(w, http.StatusUnauthorized, "Unauthorized")
			case who == nil:
				s.cookie(w, "redirect_to", r.RequestURI, 600)
				http.Redirect(w, r, s.sub+"/login", http.StatusFound)
			case who.Role == "None" && !strings.HasPrefix(r.URL.Path, "/api/user"):
				refuseTo(w, http.StatusForbidden, "no role")
			default:
				answer(w, r, who)
			}
		})
	}
	s.routes.HandleFunc("/api/health", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"database": "ok", "version": version, "commit": "stand-in"})
	})
	s.routes.HandleFunc("/login/generic_oauth", s.signIn)
	s.routes.HandleFunc("/login", s.form)
	s.routes.HandleFunc("/logout", s.leave)
	signed("/api/user", func(w http.ResponseWriter, _ *http.Request, who *person) { // the role is of /api/user/orgs in Grafana
		reply(w, http.StatusOK, map[string]any{"login": who.Login, "email": who.Email, "name": who.Name, "orgId": 1, "isGrafanaAdmin": false, "role": who.Role})
	})
	signed("/api/user/orgs", func(w http.ResponseWriter, _ *http.Request, who *person) {
		reply(w, http.StatusOK, []any{map[string]any{"orgId": 1, "name": "Main Org.", "role": who.Role}})
	})
	signed("/api/search", func(w http.ResponseWriter, _ *http.Request, _ *person) {
		found := []any{}
		for uid, one := range s.dashboards {
			found = append(found, map[string]any{"uid": uid, "title": one.model["title"], "type": "dash-db", "folderTitle": one.folder, "url": s.sub + "/d/" + uid})
		}
		reply(w, http.StatusOK, found)
	})
	signed("/api/dashboards/uid/{uid}", func(w http.ResponseWriter, r *http.Request, who *person) {
		one := s.dashboards[r.PathValue("uid")]
		if one.model == nil {
			refuseTo(w, http.StatusNotFound, "Dashboard not found")
			return
		}
		meta := map[string]any{"folderTitle": one.folder, "provisioned": true, "canSave": who.Role != "Viewer"}
		reply(w, http.StatusOK, map[string]any{"meta": meta, "dashboard": one.model})
	})
	signed("POST /api/ds/query", s.query)
	signed("/api/datasources/proxy/uid/{uid}/{path...}", s.forward)
	signed("/api/datasources/uid/{uid}/resources/{path...}", s.forward)
	signed("GET /api/datasources", func(w http.ResponseWriter, _ *http.Request, _ *person) {
		found := []any{}
		for uid, one := range s.sources {
			found = append(found, map[string]any{"uid": uid, "name": one.Name, "type": one.Type, "url": one.URL, "jsonData": one.JSON, "readOnly": !one.Editable, "isDefault": one.Default})
		}
		reply(w, http.StatusOK, found)
	})
	changed := func(w http.ResponseWriter, _ *http.Request, who *person) {
		if who.Role != "Admin" {
			refuseTo(w, http.StatusForbidden, "You'll need additional permissions to perform this action. Permissions needed: datasources:write")
			return
		}
		refuseTo(w, http.StatusNotImplemented, "the stand-in changes none")
	}
	signed("/api/datasources", changed)
	signed("/api/datasources/", changed)
	signed("/api/", func(w http.ResponseWriter, _ *http.Request, _ *person) { refuseTo(w, http.StatusNotFound, "Not found") })
	signed("/", func(w http.ResponseWriter, _ *http.Request, who *person) {
		fmt.Fprintf(w, "<title>Grafana</title> %s\n", who.Login)
	})
}

func (s *server) leave(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(s.get("auth", "login_cookie_name")); err == nil {
		s.change(func(sessions map[string]*person) { delete(sessions, cookie.Value) })
	}
	s.cookie(w, s.get("auth", "login_cookie_name"), "", -1)
	to := s.get("auth", "signout_redirect_url")
	if to == "" {
		to = s.sub + "/login"
	}
	http.Redirect(w, r, to, http.StatusFound)
}

func (s *server) form(w http.ResponseWriter, r *http.Request) {
	_, err := r.Cookie("login_error")
	switch {
	case r.Method == http.MethodPost && !s.is("auth", "disable_login_form") && s.administrator(r.FormValue("user"), r.FormValue("password")):
		s.begin(w, &person{Login: r.FormValue("user"), Role: "Admin"})
		reply(w, http.StatusOK, map[string]string{"message": "Logged in"})
	case r.Method == http.MethodPost:
		refuseTo(w, http.StatusUnauthorized, "Invalid username or password")
	case err == nil || !s.is(part, "auto_login"):
		s.cookie(w, "login_error", "", -1)
		fmt.Fprintf(w, "sign in: form %v, %s\n", !s.is("auth", "disable_login_form"), s.get(part, "name"))
	default:
		http.Redirect(w, r, s.sub+"/login/generic_oauth", http.StatusFound)
	}
}

func main() {
	words := os.Args[1:]
	if filepath.Base(os.Args[0]) == "run.sh" {
		words = append([]string{"server", "--homepath=" + os.Getenv("GF_PATHS_HOME"), "--config=" + os.Getenv("GF_PATHS_CONFIG"), "--packaging=docker"}, words...)
		for _, kind := range []string{"data", "logs", "plugins", "provisioning"} {
			words = append(words, "cfg:default.paths."+kind+"="+os.Getenv("GF_PATHS_"+strings.ToUpper(kind)))
		}
		if err := os.MkdirAll(os.Getenv("GF_PATHS_PLUGINS"), 0o755); err != nil {
			fail("%v", err)
		}
	}
	if len(words) > 0 && (words[0] == "-v" || words[0] == "--version") {
		fmt.Println("grafana version", version)
		return
	}
	if len(words) == 0 || words[0] != "server" {
		fail("usage: grafana server --homepath=DIR --config=FILE [cfg:SECTION.KEY=VALUE …]")
	}
	flags := flag.NewFlagSet("server", flag.ExitOnError)
	home, config := flags.String("homepath", "", ""), flags.String("config", "", "")
	pid := flags.String("pidfile", "", "")
	flags.String("packaging", "unknown", "")
	_ = flags.Parse(words[1:])
	s := &server{settings: read(*config, flags.Args()), sources: map[string]*source{}, dashboards: map[string]dashboard{}, sessions: map[string]*person{}}
	// Grafana has its pages and its settings' defaults there.
	if _, err := os.Stat(filepath.Join(*home, "conf", "defaults.ini")); err != nil {
		fail("homepath: %v", err)
	}
	root, err := url.Parse(s.get("server", "root_url"))
	if err != nil {
		fail("root_url: %v", err)
	}
	s.sub = strings.TrimSuffix(root.Path, "/")
	s.root = strings.TrimSuffix(root.String(), "/") + "/"
	if file := s.get(part, "tls_client_ca"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			fail("%v", err)
		}
		s.ca = string(text)
	}
	data := under(*home, s.get("paths", "data"))
	if err := os.MkdirAll(data, 0o750); err != nil {
		fail("%v", err)
	}
	s.database = filepath.Join(data, "grafana.db")
	if text, err := os.ReadFile(s.database); err == nil {
		_ = json.Unmarshal(text, &s.sessions)
	}
	s.change(func(map[string]*person) {})
	s.route()
	s.provision(under(*home, s.get("paths", "provisioning")))
	if *pid != "" {
		_ = os.WriteFile(*pid, []byte(fmt.Sprint(os.Getpid())), 0o644)
	}
	where := s.get("server", "http_addr") + ":" + s.get("server", "http_port")
	fmt.Fprintln(os.Stderr, "grafana: listening at", where)
	fail("%v", http.ListenAndServe(where, s))
}
