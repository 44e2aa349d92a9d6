package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jmespath-community/go-jmespath"
	"golang.org/x/oauth2"
)

const part = "auth.generic_oauth"

// A person who is signed in; the token is what data sources with oauthPassThru are sent.
type person struct {
	Login, Email, Name, Role string
	Token                    string
	Expires                  time.Time
	Began, Seen              time.Time
}

func random() string { return hex.EncodeToString([]byte(rand.Text())) }

func (s *server) cookie(w http.ResponseWriter, name, value string, seconds int) {
	path := s.sub
	if path == "" {
		path = "/"
	}
	same := map[string]http.SameSite{"lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode, "none": http.SameSiteNoneMode}
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: path, MaxAge: seconds, HttpOnly: true,
		Secure: s.is("security", "cookie_secure"), SameSite: same[s.get("security", "cookie_samesite")]})
}

// verifying is a client that trusts the CA in `ca` alone, or whom this machine trusts if there is none.
func verifying(ca string) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(ca)) {
			return nil, errors.New("the CA is none")
		}
	}
	transport := &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment}
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}, nil
}

func (s *server) oauth() *oauth2.Config {
	styles := map[string]oauth2.AuthStyle{"InParams": oauth2.AuthStyleInParams, "InHeader": oauth2.AuthStyleInHeader}
	scopes := strings.FieldsFunc(s.get(part, "scopes"), func(c rune) bool { return c == ',' || c == ' ' })
	if s.is(part, "empty_scopes") {
		scopes = nil
	}
	return &oauth2.Config{ClientID: s.get(part, "client_id"), ClientSecret: s.get(part, "client_secret"), Scopes: scopes,
		RedirectURL: s.root + "login/generic_oauth", Endpoint: oauth2.Endpoint{AuthURL: s.get(part, "auth_url"),
			TokenURL: s.get(part, "token_url"), AuthStyle: styles[s.get(part, "auth_style")]}}
}

// signature binds the state that comes back to the browser that it was given to.
func (s *server) signature(state string) string {
	sum := sha256.Sum256([]byte(state + s.get("security", "secret_key") + s.get(part, "client_secret")))
	return hex.EncodeToString(sum[:])
}

func (s *server) signIn(w http.ResponseWriter, r *http.Request) {
	if !s.is(part, "enabled") {
		refuseTo(w, http.StatusNotFound, "OAuth not enabled")
		return
	}
	if said := r.FormValue("error"); said != "" {
		s.failed(w, r, errors.New(said+": "+r.FormValue("error_description")))
		return
	}
	if code := r.FormValue("code"); code != "" {
		if err := s.arrive(w, r, code); err != nil {
			s.failed(w, r, err)
		}
		return
	}
	state, options := random(), []oauth2.AuthCodeOption{oauth2.AccessTypeOnline}
	if s.is(part, "use_pkce") {
		verifier := oauth2.GenerateVerifier()
		s.cookie(w, "oauth_code_verifier", verifier, 600)
		options = append(options, oauth2.S256ChallengeOption(verifier))
	}
	s.cookie(w, "oauth_state", s.signature(state), 600)
	http.Redirect(w, r, s.oauth().AuthCodeURL(state, options...), http.StatusFound)
}

// failed leads back to the page for signing in, as Grafana does; why is in its log.
func (s *server) failed(w http.ResponseWriter, r *http.Request, err error) {
	fmt.Fprintln(os.Stderr, "grafana: sign-in failed:", err)
	s.cookie(w, "login_error", random(), 60)
	http.Redirect(w, r, s.sub+"/login", http.StatusFound)
}

func (s *server) arrive(w http.ResponseWriter, r *http.Request, code string) error {
	state, err := r.Cookie("oauth_state")
	if err != nil || state.Value != s.signature(r.FormValue("state")) {
		return errors.New("the state is not this browser's")
	}
	s.cookie(w, "oauth_state", "", -1)
	client, err := verifying(s.ca)
	if err != nil {
		return err
	}
	ctx := context.WithValue(r.Context(), oauth2.HTTPClient, client)
	var options []oauth2.AuthCodeOption
	if verifier, err := r.Cookie("oauth_code_verifier"); err == nil && s.is(part, "use_pkce") {
		options = append(options, oauth2.VerifierOption(verifier.Value))
	}
	token, err := s.oauth().Exchange(ctx, code, options...)
	if err != nil {
		return err
	}
	who, err := s.whoIs(ctx, token)
	if err != nil {
		return err
	}
	s.begin(w, who)
	home := s.sub + "/"
	if asked, err := r.Cookie("redirect_to"); err == nil && strings.HasPrefix(asked.Value, home) {
		home = asked.Value
	}
	http.Redirect(w, r, home, http.StatusFound)
	return nil
}

// whoIs asks api_url, in the order and with the fields of Grafana's generic OAuth.
func (s *server) whoIs(ctx context.Context, token *oauth2.Token) (*person, error) {
	answer, err := s.oauth().Client(ctx, token).Get(s.get(part, "api_url"))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil || answer.StatusCode > 299 {
		return nil, fmt.Errorf("api_url: %d %s %w", answer.StatusCode, text, err)
	}
	var said map[string]any
	if err := json.Unmarshal(text, &said); err != nil {
		return nil, err
	}
	look := func(field, path string) string {
		if value, _ := said[field].(string); value != "" || path == "" || s.get(part, path) == "" {
			return value
		}
		found, err := jmespath.Search(s.get(part, path), said)
		value, _ := found.(string)
		if err != nil {
			fmt.Fprintln(os.Stderr, "grafana:", path, err)
		}
		return value
	}
	who := &person{Token: token.AccessToken, Expires: token.Expiry, Email: look("email", "email_attribute_path"),
		Name: look("name", "name_attribute_path"), Login: look("login", "login_attribute_path")}
	if who.Login == "" {
		who.Login = look("username", "")
	}
	if !s.is(part, "skip_org_role_sync") {
		found, _ := jmespath.Search(s.get(part, "role_attribute_path"), said)
		who.Role, _ = found.(string)
	}
	if !slices.Contains([]string{"None", "Viewer", "Editor", "Admin"}, who.Role) {
		if s.is(part, "role_attribute_strict") {
			return nil, fmt.Errorf("%q is no role", who.Role)
		}
		who.Role = s.get("users", "auto_assign_org_role")
	}
	if who.Email == "" || look("sub", "") == "" || !s.is(part, "allow_sign_up") {
		return nil, errors.New("no email, no sub, or nobody may sign up")
	}
	if who.Login == "" {
		who.Login = who.Email
	}
	return who, nil
}

// ---- sessions, which outlast this program in its folder of data

func (s *server) begin(w http.ResponseWriter, who *person) {
	who.Began, who.Seen = time.Now(), time.Now()
	key := random()
	s.change(func(sessions map[string]*person) { sessions[key] = who })
	s.cookie(w, s.get("auth", "login_cookie_name"), key, int(s.duration("auth", "login_maximum_lifetime_duration").Seconds()))
}

func (s *server) change(how func(map[string]*person)) {
	s.lock.Lock()
	defer s.lock.Unlock()
	how(s.sessions)
	text, _ := json.Marshal(s.sessions)
	if err := os.WriteFile(s.database, text, 0o600); err != nil {
		fail("%v", err)
	}
}

// who is signed in, if anybody.
func (s *server) who(r *http.Request) *person {
	if name, password, ok := r.BasicAuth(); ok && s.is("auth.basic", "enabled") && s.administrator(name, password) {
		return &person{Login: name, Role: "Admin"}
	}
	var found *person
	if cookie, err := r.Cookie(s.get("auth", "login_cookie_name")); err == nil {
		s.change(func(sessions map[string]*person) {
			who := sessions[cookie.Value]
			if who != nil && (time.Since(who.Began) > s.duration("auth", "login_maximum_lifetime_duration") ||
				time.Since(who.Seen) > s.duration("auth", "login_maximum_inactive_lifetime_duration")) {
				delete(sessions, cookie.Value)
			} else if who != nil {
				who.Seen = time.Now()
				found = who
			}
		})
	}
	if found == nil && s.is("auth.anonymous", "enabled") {
		return &person{Role: "Viewer"}
	}
	return found
}

func (s *server) administrator(name, password string) bool {
	return !s.is("security", "disable_initial_admin_creation") && name == s.get("security", "admin_user") && password == s.get("security", "admin_password")
}
